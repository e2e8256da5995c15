// An export that is over is shown anew as a whole, and no longer asked after.
const node = document.querySelector("[data-refresh-s][id^=export]");
if (node) {
  new MutationObserver(() => {
    if (!node.querySelector("[data-open]")) location.reload();
  }).observe(node, { childList: true });
}
