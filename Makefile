# usher -- "make help" lists what there is to say. One makefile, no recursion into folders; sources are found by
# wildcard, so a new .c file needs no line here.
#
# Kinds of build, each with its own folder under $(BUILD): release (-O2), asan (ASan + UBSan), tsan.
#   $(BUILD)/usher, $(BUILD)/asan/usher, $(BUILD)/tsan/usher      the program
#   $(BUILD)/KIND/unit      tests/unit/**/*.c with the edge's own code
#   $(BUILD)/KIND/scenario  tests/scenario/*.c + tests/harness/*.c; runs the program that USHER_BIN names
#   $(BUILD)/KIND/stress    tests/stress/*.c + tests/harness/*.c with the edge's own code
# Two builds side by side, without stepping on each other: make BUILD=/somewhere/else ...

VERSION := 0.1.0
BUILD ?= build
DEPS ?= build/deps
KIND ?= release
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
AR := $(if $(filter default,$(origin AR)),gcc-ar,$(AR))
WERROR ?=
LTO ?= -flto=auto
SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# --- what is compiled, and how ---

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wwrite-strings
CFLAGS := -std=gnu11 -g $(WARNINGS) $(WERROR) -D_GNU_SOURCE -Iedge -I. -I$(BUILD)/include
flags_release := -O2 -fomit-frame-pointer -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 $(if $(LTO),$(LTO) -ffat-lto-objects)
flags_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# Criterion cannot start under ThreadSanitizer; a stand-in with the same words takes its place there.
flags_tsan := -Isetup/plain_criterion -O1 -fno-omit-frame-pointer -fsanitize=thread
link_release := -Wl,-z,relro,-z,now -Wl,--as-needed
link_asan := -fsanitize=address,undefined
link_tsan := -fsanitize=thread
runner_release = $(shell pkg-config --libs criterion)
runner_asan = $(runner_release)
runner_tsan := $(BUILD)/tsan/setup/plain_criterion/main.o

# A module is a folder: its tests are named test_unit*.c and test_scenario*.c, all its other .c files are linked in.
module_src := $(filter-out $(wildcard modules/*/test_*.c),$(sort $(wildcard modules/*/*.c)))
module_names := $(sort $(notdir $(patsubst %/,%,$(dir $(module_src)))))
edge_src := $(sort $(shell find edge -name '*.c' ! -path edge/main.c)) $(module_src)
unit_src := $(sort $(shell find tests/unit -name '*.c' 2>/dev/null) $(wildcard modules/*/test_unit*.c))
harness_src := $(sort $(wildcard tests/harness/*.c))
scenario_src := $(sort $(wildcard tests/scenario/*.c modules/*/test_scenario*.c))
stress_src := $(sort $(wildcard tests/stress/*.c))

# The libraries' flags come from a file that setup/deps writes. Goals that compile nothing do not need it.
without_deps := help clean packages test run bench check format format-check install fresh-check compose-test server-test deps new-module install-module
ifneq ($(filter-out $(without_deps),$(or $(MAKECMDGOALS),all)),)
include $(DEPS)/flags.mk
endif
$(DEPS)/flags.mk: setup/deps $(wildcard setup/deps.d/*)
	@CC=$(CC) DEPS_QUIET=1 setup/deps $(DEPS)

# What a folder's objects were made from; rewritten only when it says something else, which remakes what depends on it.
define note
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' >$@
endef

# The functions that `usher schema install` loads, as text of the program.
$(BUILD)/include/schema/functions/usher.lua.h: schema/functions/usher.lua
	@mkdir -p $(@D)
	@sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' $< >$@

# Which modules are linked in: the folders that there are.
$(BUILD)/include/modules/linked_in.def: FORCE
	$(call note,$(foreach n,$(module_names),LINKED_IN($(n))))

define kind_rules
program_$(1) := $(if $(filter release,$(1)),$(BUILD)/usher,$(BUILD)/$(1)/usher)
objects_$(1) = $$(patsubst %.c,$(BUILD)/$(1)/%.o,$$(1))

made_with_$(1) := $(CC) $(CFLAGS) $(flags_$(1)) $(VERSION)
$(BUILD)/$(1)/flags: FORCE
	$$(call note,$$(made_with_$(1)))
$(BUILD)/$(1)/sources: FORCE
	$$(call note,$$(edge_src))
$(BUILD)/$(1)/test_sources: FORCE
	$$(call note,$$(unit_src) $$(harness_src) $$(scenario_src) $$(stress_src))

$(BUILD)/$(1)/edge/%.o: edge/%.c $(BUILD)/$(1)/flags $(DEPS)/flags.mk
	@mkdir -p $$(@D)
	@echo "  CC  $(1) $$<"
	@$(CC) $(CFLAGS) $(flags_$(1)) -DUSHER_VERSION='"$(VERSION)"' $$(DEPS_CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/edge/cli/schema.o: $(BUILD)/include/schema/functions/usher.lua.h
$(BUILD)/$(1)/edge/module_host/registry.o: $(BUILD)/include/modules/linked_in.def
# Modules see usher_module.h and nothing else of ours; their tests see what all tests do.
$(BUILD)/$(1)/modules/%.o: modules/%.c $(BUILD)/$(1)/flags $(DEPS)/flags.mk
	@mkdir -p $$(@D)
	@echo "  CC  $(1) $$<"
	@$(CC) $(filter-out -I%,$(CFLAGS)) $(flags_$(1)) -DUSHER_LINKED_IN -Imodules $$(DEPS_CFLAGS) -MMD -MP -c -o $$@ $$<
$(patsubst %.c,$(BUILD)/$(1)/%.o,$(wildcard modules/*/test_*.c)): $(BUILD)/$(1)/modules/%.o: modules/%.c \
		$(BUILD)/$(1)/flags $(DEPS)/flags.mk
	@mkdir -p $$(@D)
	@echo "  CC  $(1) $$<"
	@$(CC) $(CFLAGS) $(filter-out -flto% -ffat%,$(flags_$(1))) -Itests -Imodules $$(DEPS_CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/tests/%.o: tests/%.c $(BUILD)/$(1)/flags $(DEPS)/flags.mk
	@mkdir -p $$(@D)
	@echo "  CC  $(1) $$<"
	@$(CC) $(CFLAGS) $(filter-out -flto% -ffat%,$(flags_$(1))) -Itests -Imodules $$(DEPS_CFLAGS) -MMD -MP -c -o $$@ $$<

$(BUILD)/$(1)/libedge.a: $$(call objects_$(1),$(edge_src)) $(BUILD)/$(1)/sources
	@rm -f $$@
	@$(AR) rcs $$@ $$(filter %.o,$$^)
$$(program_$(1)): $(BUILD)/$(1)/edge/main.o $(BUILD)/$(1)/libedge.a
	@echo "  LD  $$@"
	@$(CC) $(if $(filter release,$(1)),-O2 $(LTO)) $(link_$(1)) -o $$@ $$^ $$(DEPS_LIBS) -lpthread -lm -ldl

$(BUILD)/$(1)/unit: $$(call objects_$(1),$(unit_src)) $(BUILD)/$(1)/libedge.a $(BUILD)/$(1)/test_sources
	$$(link_test)
$(BUILD)/$(1)/scenario: $$(call objects_$(1),$(scenario_src) $(harness_src)) $(BUILD)/$(1)/test_sources
	$$(link_test)
$(BUILD)/$(1)/stress: $$(call objects_$(1),$(stress_src) $(harness_src)) $(BUILD)/$(1)/libedge.a $(BUILD)/$(1)/test_sources
	$$(link_test)
# The libraries' names stay inside: what Criterion brings along has an mbedTLS of its own, and would take ours.
$(BUILD)/$(1)/unit $(BUILD)/$(1)/scenario $(BUILD)/$(1)/stress: link_test = \
	@echo "  LD  $$@"; $(CC) -fno-lto $(link_$(1)) -Wl,--exclude-libs,ALL -o $$@ $$(filter %.o %.a,$$^) $$(runner_$(1)) \
	$$(DEPS_LIBS) -lpthread -lm -ldl
$(if $(filter tsan,$(1)),$(BUILD)/tsan/unit $(BUILD)/tsan/scenario $(BUILD)/tsan/stress: | $(runner_tsan))
-include $$(patsubst %.o,%.d,$$(call objects_$(1),edge/main.c $(edge_src) $(unit_src) $(harness_src) $(scenario_src) $(stress_src)))
endef
$(runner_tsan): setup/plain_criterion/main.c $(BUILD)/tsan/flags
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(flags_tsan) -c -o $@ $<
$(foreach k,release asan tsan,$(eval $(call kind_rules,$(k))))

# --- what one says ---

all: $(program_release) ## the optimised program, build/usher (the default)

run: ## Redis, three demo origins, sample tenants and the edge on 127.0.0.1:8080, until Ctrl-C (PORT= for another)
	@setup/packages run
	@$(MAKE) -j $(JOBS) $(BUILD)/usher $(BUILD)/demo_origin
	@USHER_BIN=$(abspath $(BUILD)/usher) ORIGIN_BIN=$(abspath $(BUILD)/demo_origin) setup/run

test: ## set up what is missing, build, run the unit and scenario tests; ends with "N passed, N failed"
	@setup/packages test
	@$(MAKE) -j $(JOBS) $(BUILD)/usher $(if $(unit_src),$(BUILD)/release/unit) $(if $(scenario_src),$(BUILD)/release/scenario)
	@setup/tests $(if $(unit_src),$(BUILD)/release/unit) $(if $(scenario_src),$(BUILD)/release/scenario)

check: ## what a change must pass: format, lint, unit + scenario under ASan + UBSan, stress under TSan, no warning
	@setup/packages check
	@$(MAKE) -k format-check lint
	@$(MAKE) -j $(JOBS) BUILD=$(BUILD)/check WERROR=-Werror LTO= check-run

check-run: $(program_asan) $(if $(unit_src),$(BUILD)/asan/unit) $(if $(scenario_src),$(BUILD)/asan/scenario) \
		$(program_tsan) $(if $(stress_src),$(BUILD)/tsan/stress) | bench-builds
	@setup/tests $(filter-out $(program_asan) $(program_tsan),$^)

bench-builds: $(BUILD)/bench/balance $(BUILD)/bench/match $(BUILD)/bench/hooks

scenario stress: $(program_$(KIND))
unit scenario stress: %: $(BUILD)/$(KIND)/%
	@FILTER='$(T)' setup/tests $<
## unit scenario stress: just those tests; T=name picks some, KIND=asan or tsan another build

lint: $(DEPS)/flags.mk ## who includes whom, sizes, words, cards, headers that stand alone; then that each of these can fail
	@tests/lint/run

format: ## lay out every C file (clang-format)
	@setup/packages format
	@setup/format

format-check:
	@setup/packages format
	@setup/format --check

bench: ## side by side with nginx, HAProxy and a bare relay
	@setup/packages bench
	@$(MAKE) -j $(JOBS) $(BUILD)/usher $(BUILD)/bench/balance $(BUILD)/bench/match $(BUILD)/bench/hooks
	@USHER_BIN=$(abspath $(BUILD)/usher) MATCH_BIN=$(abspath $(BUILD)/bench/match) \
		BALANCE_BIN=$(abspath $(BUILD)/bench/balance) HOOKS_BIN=$(abspath $(BUILD)/bench/hooks) bench/run

new-module: ## a folder for a module of your own, N=hello, with code, README and tests that pass as they are
	@setup/new-module '$(N)'

install: install-module ## the program, its systemd units, and what modules are built with, into $(DESTDIR)$(PREFIX) (PREFIX: /usr/local)
	@test -x $(BUILD)/usher || $(MAKE) $(BUILD)/usher
	install -D -m 755 $(BUILD)/usher $(DESTDIR)$(PREFIX)/bin/usher
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	@for unit in usher.service usher.socket; do \
		sed 's|@PREFIX@|$(PREFIX)|' setup/systemd/$$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit; done

# cc -shared -fPIC $$(pkg-config --cflags usher) -o mine.so mine.c
install-module:
	install -D -m 644 modules/usher_module.h $(DESTDIR)$(PREFIX)/include/usher_module.h
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/pkgconfig
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' setup/usher.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/usher.pc

fresh-check: ## "make test" and "make run" on a clone in a bare Debian 12 and a bare 13, as root; SUITES=trixie for one
	@setup/fresh-check $(SUITES)

compose-test: ## the demo of docker/ in a real engine, each command of its tour; exit 77 where no engine can run
	@setup/compose-test

server-test: ## the tests with Valkey and the newest Redis of Debian 13; SERVERS=valkey for one, T=name; exit 77: not to be had
	@setup/packages test
	@$(MAKE) -j $(JOBS) $(BUILD)/usher $(BUILD)/release/unit $(BUILD)/release/scenario
	@FILTER='$(T)' SERVERS='$(SERVERS)' setup/server-test $(BUILD)/release/unit $(BUILD)/release/scenario

packages: ## install the Debian packages that building, running and testing need
	@setup/packages test
deps: ## put the libraries that the system lacks into build/deps
	@CC=$(CC) setup/deps $(DEPS)
clean: ## take away what was built (build/deps, fresh, compose and servers stay; rm -rf build takes all)
	@rm -rf $(addprefix $(BUILD)/,usher demo_origin release asan tsan check bench run.* www)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p; s/^## \([a-z ]*\): \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

# hooks.c counts what is asked of the heap.
$(BUILD)/bench/hooks: link_bench := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(BUILD)/bench/balance $(BUILD)/bench/match $(BUILD)/bench/hooks: $(BUILD)/bench/%: bench/%.c $(BUILD)/release/libedge.a
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(CFLAGS) -O2 $(DEPS_CFLAGS) -fno-lto $(link_bench) -o $@ $^ $(DEPS_LIBS) -lpthread -lm -ldl

$(BUILD)/demo_origin: setup/demo_origin.c
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(CFLAGS) -O2 -o $@ $<

FORCE:
.PHONY: FORCE all run test check check-run unit scenario stress lint format format-check bench install fresh-check \
	bench-builds compose-test server-test packages deps clean help new-module install-module
