"""Secrets: random, kept as hashes, derived for one purpose."""

from console.people.secret import SECRET_CHARS, derived, digest, new_key, new_secret, same


def test_a_secret_has_256_bits_and_is_never_twice() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {SECRET_CHARS}


def test_what_is_derived_tells_neither_the_secret_nor_what_else_is() -> None:
    secret = "s" * 43
    state, nonce = derived(secret, "state"), derived(secret, "nonce")
    assert len({secret, state, nonce}) == 3
    assert derived(secret, "state") == state
    assert len(state) == 43  # enough for a verifier of PKCE


def test_any_text_has_a_digest() -> None:
    assert len(digest("\udcff")) == 32
    assert not same("\udcff", "x")
    assert same("ü", "ü")


def test_a_key_names_and_opens_nothing() -> None:
    assert new_key("tok").startswith("tok-")
    assert new_key("tok") != new_key("tok")
