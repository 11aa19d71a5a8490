#!/bin/sh
# Makes sure that what building, testing and the demo need is there: installs Debian packages when root, otherwise says
# which are missing. Installs nothing that is already there in another form.
set -eu

has_zlib() { pkg-config --exists zlib 2>/dev/null; }
has_libpq() { pkg-config --exists 'libpq >= 15' 2>/dev/null; }
# Servers of Debian and of apt.postgresql.org; initdb in PATH elsewhere.
has_server() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; }
has_prometheus() { command -v prometheus >/dev/null; }
# In /usr/sbin, which not everybody's PATH has.
has_pgbouncer() { command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ]; }
has_psycopg() { "${PYTHON:-/usr/bin/python3}" -c 'import psycopg2' 2>/dev/null; }

missing_packages() {
    command -v git >/dev/null || printf ' git'
    command -v pkg-config >/dev/null || printf ' pkg-config'
    has_libpq || printf ' libpq-dev'
    has_zlib || printf ' zlib1g-dev'
    has_server || printf ' postgresql'
    has_prometheus || printf ' prometheus'
    has_pgbouncer || printf ' pgbouncer'
    has_psycopg || printf ' python3 python3-psycopg2'
}

if ! command -v swift >/dev/null; then
    echo "deps: swift is missing" >&2
    echo "hint: a toolchain of 6.2 or newer from https://www.swift.org/install/linux" >&2
    exit 1
fi

# Installs without starting what is installed: tests run servers of their own, and Debian's services of Prometheus and
# PgBouncer would take ports 9090 and 6432, now and after the next start of the machine.
install_quietly() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        # invoke-rc.d(8): 101 forbids.
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
    fi
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    for service in prometheus pgbouncer; do
        case " $* " in *" $service "*) update-rc.d "$service" disable >/dev/null 2>&1 || true ;; esac
    done
}

missing=$(missing_packages)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "deps: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    install_quietly $missing
    missing=$(missing_packages)
    [ -n "$missing" ] || exit 0
fi

echo "deps: missing:$missing" >&2
echo "hint: sudo apt-get install$missing" >&2
exit 1
