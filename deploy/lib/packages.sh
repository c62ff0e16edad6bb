# shellcheck shell=bash
# Debian packages: what building, running and testing need, installed when missing and nothing else.

# shellcheck disable=SC2034 # read by those who source this file
packages_build="build-essential make pkg-config librabbitmq-dev libjson-c-dev libpq-dev libconfig-dev uuid-dev
    libssl-dev libcurl4-openssl-dev zlib1g-dev"
# shellcheck disable=SC2034
packages_run="postgresql rabbitmq-server ansible-core hugo nginx-light curl openssl perl"
# shellcheck disable=SC2034
packages_test="clang libclang-rt-dev clang-tidy clang-format cppcheck shellcheck libcmocka-dev git python3-pytest python3-pytest-xdist python3-pika
    python3-psycopg2 python3-jsonschema python3-yaml jq man-db spin systemd"

packages_missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s ' "$name"
    done
}

# A fresh postgresql or rabbitmq-server starts a service of the whole machine, on its usual port.  This hook,
# which Debian's maintainer scripts ask, forbids that for the time of the installation.
policy=/usr/sbin/policy-rc.d

policy_forbid() {
    [ ! -e $policy ] || return 0 # the machine has its own policy: left alone
    printf '#!/bin/sh\n# made by deploy/lib/packages.sh for the time of one installation\nexit 101\n' | $sudo tee $policy >/dev/null &&
        $sudo chmod 0755 $policy
    policy_ours=1
}

policy_restore() {
    [ -z "${policy_ours-}" ] || $sudo rm -f $policy
    policy_ours=
}

# packages_install NAME...: fails with apt's own words.
packages_install() {
    local missing code=0 sudo=
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "these packages are missing, and this is neither root nor is there sudo: $missing" >&2; return 1; }
        sudo="sudo"
    fi
    echo "installing $missing" >&2
    policy_forbid
    # shellcheck disable=SC2086
    { $sudo apt-get -q update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing; } >&2 </dev/null || code=1
    policy_restore
    return $code
}
