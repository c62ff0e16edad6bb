# Hlér: `make` builds, `make check` runs the unit tests, `make lint` the static
# checks, `make bench` the measurements, `make fuzz SECONDS=30` the fuzz targets, `make install` puts it below PREFIX.
#
#   BUILD=dir   where everything made goes (default build)
#   SAN=list    sanitizers, e.g. SAN=address,undefined or SAN=thread
#   WERROR=     leave warnings as warnings

CC      ?= gcc
BUILD   ?= build
# One spelling: the dependency files know objects by it, and others' would be taken for up to date.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
PREFIX  ?= /usr/local
WERROR  ?= -Werror
OPT     ?= -O2 -g
SAN     ?=

VERSION := 0.1.0
PKGS    := librabbitmq json-c libpq libconfig uuid libcrypto libcurl zlib

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla \
        -Wimplicit-fallthrough $(WERROR)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)

CPPFLAGS_ALL = -D_GNU_SOURCE -DHLER_VERSION='"$(VERSION)"' -DHLER_PREFIX='"$(PREFIX)"' \
               -I. $(shell pkg-config --cflags $(PKGS)) $(CPPFLAGS)
CFLAGS_ALL   = -std=c17 $(OPT) $(WARN) $(SANFLAGS) -fPIE -fstack-protector-strong $(CFLAGS)
PIE          = -pie
LDFLAGS_ALL  = $(SANFLAGS) $(PIE) -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

lib = $(shell pkg-config --libs $(1))

# One static library a layer; each program is its main.c and the layers below it.
COMMON_SRC     := $(wildcard common/*.c)
PROTO_SRC      := $(wildcard proto/*.c)
RUNNER_SRC     := $(filter-out %/main.c,$(wildcard worker/runner/*.c))
BRIDGE_SRC     := $(filter-out %/main.c,$(wildcard worker/bridge/*.c))
EXECUTORS_SRC  := $(filter-out %_main.c,$(wildcard worker/executors/*.c))
DISPATCHER_SRC := $(filter-out %/main.c,$(wildcard dispatcher/*.c))
CLI_SRC        := $(filter-out %/main.c,$(wildcard dispatcher/cli/*.c))
MIGRATIONS     := $(sort $(wildcard proto/sql/[0-9]*.sql))

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

LIB_COMMON     := $(BUILD)/libcommon.a
LIB_PROTO      := $(BUILD)/libproto.a
LIB_RUNNER     := $(BUILD)/librunner.a
LIB_BRIDGE     := $(BUILD)/libbridge.a
LIB_EXECUTORS  := $(BUILD)/libexecutors.a
LIB_DISPATCHER := $(BUILD)/libdispatcher.a
LIB_CLI        := $(BUILD)/libcli.a

BIN  := hler hler-dispatcher hler-worker hler-runner hler-emit
EXEC := $(patsubst worker/executors/%_main.c,%,$(wildcard worker/executors/*_main.c))
PROGRAMS := $(addprefix $(BUILD)/bin/,$(BIN)) $(addprefix $(BUILD)/libexec/executors/,$(EXEC))
MAN  := dispatcher/cli/hler.1 worker/emit/hler-emit.1 dispatcher/hler-dispatcher.8 worker/bridge/hler-worker.8 \
        worker/runner/hler-runner.8
COLLECTIONS := $(BUILD)/share/ansible/collections
PAGES := $(foreach p,$(MAN),$(BUILD)/share/man/man$(subst .,,$(suffix $(p)))/$(notdir $(p)))
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all tests check lint format bench fuzz fuzz-targets install clean
all: $(PROGRAMS) $(COLLECTIONS)/ansible_collections $(PAGES)
tests: $(TESTS)

$(LIB_COMMON): $(call obj,$(COMMON_SRC))
$(LIB_PROTO): $(call obj,$(PROTO_SRC))
$(LIB_RUNNER): $(call obj,$(RUNNER_SRC))
$(LIB_BRIDGE): $(call obj,$(BRIDGE_SRC))
$(LIB_EXECUTORS): $(call obj,$(EXECUTORS_SRC))
$(LIB_DISPATCHER): $(call obj,$(DISPATCHER_SRC))
$(LIB_CLI): $(call obj,$(CLI_SRC)) $(BUILD)/migrations.o
$(BUILD)/lib%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

link = @mkdir -p $(@D); echo "LINK $@"; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $(filter %.o %.a,$^)

$(BUILD)/bin/hler: $(BUILD)/dispatcher/cli/main.o $(LIB_CLI) $(LIB_PROTO) $(LIB_COMMON)
	$(link) $(call lib,libpq json-c libconfig libcurl libcrypto) -lpthread
$(BUILD)/bin/hler-dispatcher: $(BUILD)/dispatcher/main.o $(LIB_DISPATCHER) $(LIB_PROTO) $(LIB_COMMON)
	$(link) $(call lib,libpq json-c libconfig librabbitmq libcrypto) -lpthread
$(BUILD)/bin/hler-worker: $(BUILD)/worker/bridge/main.o $(LIB_BRIDGE) $(LIB_RUNNER) $(LIB_PROTO) $(LIB_COMMON)
	$(link) $(call lib,json-c libconfig librabbitmq zlib) -lpthread
# Static: a process with few mappings is forked and ended in less time, once per attempt.
ifneq ($(SAN),thread)
$(BUILD)/bin/hler-runner: PIE = $(if $(SAN),-pie,-static-pie)
$(BUILD)/bin/hler-runner: $(BUILD)/worker/runner/main.o $(LIB_RUNNER) $(LIB_COMMON)
	$(link) $(call lib,zlib)
else # it has one thread, and ThreadSanitizer makes a fork() of its vfork()
$(BUILD)/bin/hler-runner: $(BUILD)/worker/runner/main.o $(LIB_RUNNER) $(LIB_COMMON)
	@mkdir -p $(@D)
	$(MAKE) BUILD=$(BUILD)/plain SAN= $(BUILD)/plain/bin/hler-runner
	cp $(BUILD)/plain/bin/hler-runner $@
endif
$(BUILD)/bin/hler-emit: $(call obj,$(wildcard worker/emit/*.c)) $(LIB_RUNNER) $(LIB_COMMON)
	$(link)
$(BUILD)/libexec/executors/%: $(BUILD)/worker/executors/%_main.o $(LIB_EXECUTORS) $(LIB_COMMON)
	$(link) $(call lib,json-c)

# A build finds its collection where an installation has it.
$(COLLECTIONS)/ansible_collections:
	@mkdir -p $(@D)
	ln -sfn $(abspath worker/executors/collection) $@

# And its pages.
$(BUILD)/share/man/man1/%: dispatcher/cli/% ; $(page)
$(BUILD)/share/man/man1/%: worker/emit/% ; $(page)
$(BUILD)/share/man/man8/%: dispatcher/% ; $(page)
$(BUILD)/share/man/man8/%: worker/bridge/% ; $(page)
$(BUILD)/share/man/man8/%: worker/runner/% ; $(page)
page = @mkdir -p $(@D) && ln -sfn $(abspath $<) $@

# The numbered SQL files, compiled into `hler` byte for byte.
$(BUILD)/migrations.c: $(MIGRATIONS) proto/sql/embed.sh
	@mkdir -p $(@D)
	sh proto/sql/embed.sh $(MIGRATIONS) >$@.tmp && mv $@.tmp $@
$(BUILD)/migrations.o: $(BUILD)/migrations.c
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(LIB_BRIDGE) $(LIB_RUNNER) $(LIB_EXECUTORS) \
                 $(LIB_CLI) $(LIB_DISPATCHER) $(LIB_PROTO) $(LIB_COMMON)
	$(link) $(call lib,cmocka libpq json-c libconfig libcurl libcrypto librabbitmq zlib) -lpthread

check: all $(TESTS)
	@set -e; for t in $(TESTS); do echo "== $$t"; \
	    HLER_BUILD=$(BUILD) $$t || exit 1; done

# libFuzzer is clang's; built apart from everything else (tests/README.md).
FUZZ_BUILD = $(BUILD)/fuzzing
SECONDS   ?= 30
fuzz:
	+@$(MAKE) BUILD=$(FUZZ_BUILD) CC=clang SAN=fuzzer-no-link,address,undefined fuzz-targets
	tests/fuzz/run --seconds $(SECONDS) $(FUZZ_BUILD)/fuzz
fuzz-targets: $(FUZZ)
$(BUILD)/fuzz/%: PIE = -pie -fsanitize=fuzzer
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/fuzz_%.o $(LIB_EXECUTORS) $(LIB_RUNNER) $(LIB_PROTO) $(LIB_COMMON)
	$(link) $(call lib,json-c libconfig zlib)

C_FILES = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(C_FILES)
lint:
	tests/lint

# OPTIONS="--json FILE --rounds N --full …"; bench-soak takes MINUTES.
bench: all
	BUILD=$(BUILD) tests/bench/run $(OPTIONS)
bench-%: all
	BUILD=$(BUILD) tests/bench/run $* $(if $(MINUTES),--minutes $(MINUTES)) $(OPTIONS)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/hler/executors \
	    $(DESTDIR)$(PREFIX)/share/hler $(DESTDIR)$(PREFIX)/share/ansible/collections/ansible_collections
	install $(addprefix $(BUILD)/bin/,$(BIN)) $(DESTDIR)$(PREFIX)/bin
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(filter %.1,$(MAN))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(filter %.8,$(MAN))
	install $(addprefix $(BUILD)/libexec/executors/,$(EXEC)) $(DESTDIR)$(PREFIX)/libexec/hler/executors
	cp -r worker/executors/collection/aegir $(DESTDIR)$(PREFIX)/share/ansible/collections/ansible_collections
	cp -r deploy/broker deploy/examples $(DESTDIR)$(PREFIX)/share/hler

clean:
	rm -rf $(BUILD)

# Objects that only a pattern names, which make would delete.  Never for all targets: a missing object
# of a library that is there would not be made again.
.SECONDARY: $(TESTS:$(BUILD)/unit/%=$(BUILD)/tests/unit/%.o) $(FUZZ:$(BUILD)/fuzz/%=$(BUILD)/tests/fuzz/fuzz_%.o)
-include $(shell find $(BUILD) -path '$(BUILD)/trixie*' -prune -o -name '*.d' -print 2>/dev/null)
