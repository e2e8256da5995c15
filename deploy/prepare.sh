#!/bin/sh
# Make what compose.yml needs and git must never hold: deploy/.env and deploy/secrets/*, with new
# random passwords, readable by their owner alone. Changes nothing that is there already.
set -eu
umask 077
cd "$(dirname "$0")"

if [ -e .env ]; then
    echo "deploy/.env is there already: nothing was changed" >&2
    exit 0
fi

# The containers run as whoever owns the secrets, so that they can read them; never as root.
uid=$(id -u)
gid=$(id -g)
if [ "$uid" = 0 ]; then
    uid=10001
    gid=10001
fi

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
sha256() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

migrator=$(random)
writer=$(random)
api=$(random)
analyst=$(random)

dsn() { printf 'AUDIT_STORE_DSN=clickhouse://%s:%s@clickhouse:8123/audit\n' "$1" "$2"; }
dsn audit_migrator "$migrator" > secrets/migrate.env
dsn audit_writer "$writer" > secrets/sink.env
dsn audit_api "$api" > secrets/api.env
dsn audit_writer "$writer" > secrets/alerts.env
cat >> secrets/alerts.env <<'EOF'
# Whom to tell: apprise URLs, separated by spaces. None: alerts are stored and tell nobody.
AUDIT_ALERT_TARGETS=
EOF
random > secrets/api_token
random > secrets/canary_key
printf '%s\n' "$analyst" > secrets/analyst_password
if [ "$(id -u)" = 0 ]; then
    chown "$uid:$gid" secrets/*.env secrets/api_token secrets/canary_key secrets/analyst_password
fi

cat > .env.new <<EOF
SERVICE_UID=$uid
SERVICE_GID=$gid
CLICKHOUSE_MIGRATOR_SHA256=$(sha256 "$migrator")
CLICKHOUSE_WRITER_SHA256=$(sha256 "$writer")
CLICKHOUSE_API_SHA256=$(sha256 "$api")
CLICKHOUSE_ANALYST_SHA256=$(sha256 "$analyst")
EOF
mv .env.new .env
echo "made deploy/.env and deploy/secrets/: next, docker compose -f deploy/compose.yml up -d --build"
