# The module, its command line, and everything around them: see `make help`.

BUILD     ?= build
NGINX_SRC ?= /usr/share/nginx/src
CC        ?= cc
PROVE     ?= prove
JOBS      ?= 2
TESTS     ?= t/unit.t $(filter-out t/unit.t,$(sort $(wildcard t/*.t)))

BROWSER_TESTS ?= $(sort $(wildcard t/browser/*.t))

override BUILD     := $(abspath $(BUILD))
override NGINX_SRC := $(abspath $(NGINX_SRC))

MODULE := $(BUILD)/ngx_http_app_permission_module.so
CLI    := $(BUILD)/app-permission
TREE   := $(BUILD)/nginx

# CFLAGS and LDFLAGS add to these.  Fortified code takes an optimizing compiler.

FORTIFY := $(if $(filter -O0,$(CFLAGS))$(findstring _FORTIFY_SOURCE,$(CFLAGS)),,\
             -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDEN  := -O2 -g -fstack-protector-strong $(FORTIFY)
RELRO   := -Wl,-z,relro -Wl,-z,now

# nginx's own Makefile has a CFLAGS, too, which is not to be replaced

MAKEOVERRIDES :=

.DELETE_ON_ERROR:
.PHONY: all module cli deps install-deps run stop test prove test-browser \
        bench check sanitize fuzz coverage install install-cli uninstall deb dist clean \
        help FORCE

all: module cli


# ---- the nginx module ------------------------------------------------------

# nginx's configure writes into its own folder: TREE has links to NGINX_SRC

MODULE_SRC := $(sort $(filter-out src/cli/%,$(wildcard src/*/*.[ch])))
PAGE       := $(TREE)/objs/ngx_http_app_permission_page.h
PAGE_SRC   := $(addprefix src/status/page.,html css js sh)

module: $(TREE)/objs/Makefile $(PAGE)
	@echo 'building $(notdir $(MODULE))'
	+@$(MAKE) --no-print-directory -s -C $(TREE) -f objs/Makefile modules
	@cmp -s $(TREE)/objs/$(notdir $(MODULE)) $(MODULE) \
	    || install -m 644 $(TREE)/objs/$(notdir $(MODULE)) $(MODULE)

$(TREE)/objs/Makefile: config t/tools/nginx-configure $(BUILD)/configured \
                        $(BUILD)/flags
	@echo "configuring with $(NGINX_SRC)"
	@CC="$(CC)" NGINX_CC_OPT="$(HARDEN) $(CFLAGS)" \
	    NGINX_LD_OPT="$(RELRO) $(LDFLAGS)" \
	    t/tools/nginx-configure $(NGINX_SRC) $(TREE) \
	    --add-dynamic-module=$(CURDIR) > $(BUILD)/configure.log 2>&1 \
	    || { cat $(BUILD)/configure.log >&2; exit 1; }

# configure makes it, too; page.c includes it

$(PAGE): $(PAGE_SRC) | $(TREE)/objs/Makefile
	@sh src/status/page.sh > $@
	@rm -f $(TREE)/objs/addon/status/page.o

# changes when a source file comes or goes, and with the nginx to build for

$(BUILD)/configured: FORCE | deps
	@mkdir -p $(BUILD)
	@{ echo $(NGINX_SRC) $(MODULE_SRC); \
	   cat $(wildcard $(addprefix $(NGINX_SRC)/, \
	       conf_flags src/core/nginx.h)) /dev/null; } > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(subst ','\'',$(CC) $(CFLAGS) $(LDFLAGS))' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(MODULE): module


# ---- the command line ------------------------------------------------------

CLI_CFLAGS := -std=gnu99 -D_GNU_SOURCE -Wall -Wextra -Werror \
              -Wno-unused-parameter -Isrc $(HARDEN) $(CFLAGS)
CLI_LIBS   := -l:libhiredis.a -lcjson -lssl -lcrypto -lm
CLI_SRC    := $(wildcard src/cli/*.c src/cli/*/*.c src/resp/*.c src/core/*.c)
CLI_OBJ    := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(CLI_SRC))

cli: $(CLI)

$(CLI): $(CLI_OBJ)
	@echo 'linking $(@F)'
	@$(CC) $(HARDEN) $(CFLAGS) $(RELRO) $(LDFLAGS) -o $@ $(CLI_OBJ) \
	    $(CLI_LIBS)

$(BUILD)/obj/%.o: src/%.c Makefile $(BUILD)/flags | deps
	@mkdir -p $(@D)
	@echo 'compiling $<'
	@$(CC) $(CLI_CFLAGS) -MMD -MP -c -o $@ $<

-include $(CLI_OBJ:.o=.d)


# ---- what has to be installed ----------------------------------------------

# installs only what is missing, and says so; quick when nothing is.  DEPS= is
# for builders of packages, who see to that themselves.

DEPS ?= 1

deps:
	@[ -z "$(DEPS)" ] || t/tools/install-deps build

install-deps:
	@t/tools/install-deps all


# ---- install ---------------------------------------------------------------

DESTDIR    ?=
PREFIX     ?= /usr/local
MODULES    ?= $(PREFIX)/lib/nginx/modules
BINDIR     := $(DESTDIR)$(PREFIX)/bin
MANDIR     := $(DESTDIR)$(PREFIX)/share/man/man1
COMPLETION := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
SHARE      := $(DESTDIR)$(PREFIX)/share/app-permission
UNITS      := $(DESTDIR)$(PREFIX)/lib/systemd/system
UNIT       := app-permission-renewal

install: all install-cli
	install -D -m 644 $(MODULE) $(DESTDIR)$(MODULES)/$(notdir $(MODULE))

# the units in conf.d name the places of an installation by hand

install-cli: cli
	install -D -m 755 $(CLI) $(BINDIR)/app-permission
	install -D -m 644 src/cli/app-permission.1 $(MANDIR)/app-permission.1
	install -D -m 644 src/cli/app-permission.bash $(COMPLETION)/app-permission
	install -d $(SHARE)/mail $(UNITS)
	cp -r conf.d/mail/. $(SHARE)/mail
	for unit in $(UNIT).service $(UNIT).timer; do \
	    sed -e 's,/usr/local/lib/app-permission/,$(PREFIX)/share/app-permission/mail/,' \
	        -e 's,/usr/local/bin/,$(PREFIX)/bin/,' \
	        conf.d/renewal/$$unit > $(UNITS)/$$unit || exit 1; \
	done

uninstall:
	rm -f $(DESTDIR)$(MODULES)/$(notdir $(MODULE)) $(BINDIR)/app-permission \
	    $(MANDIR)/app-permission.1 $(COMPLETION)/app-permission \
	    $(UNITS)/$(UNIT).service $(UNITS)/$(UNIT).timer
	rm -rf $(SHARE)

VERSION := $(shell sed -n 's/^.define PERM_VERSION *"\(.*\)"/\1/p' \
             src/core/version.h)

# two Debian packages, in $(BUILD)/deb

deb:
	@t/tools/install-deps deb
	@BUILD=$(BUILD) t/tools/deb $(VERSION)

# the same bytes each time: from the commit alone, with its time

dist:
	@mkdir -p $(BUILD)
	git archive --format=tar --prefix=app-permission-$(VERSION)/ HEAD \
	    | gzip -n9 > $(BUILD)/app-permission-$(VERSION).tar.gz
	@echo $(BUILD)/app-permission-$(VERSION).tar.gz


# ---- try it ----------------------------------------------------------------

run: all
	@t/tools/install-deps run
	@BUILD=$(BUILD) t/tools/run start

stop:
	@BUILD=$(BUILD) t/tools/run stop


# ---- tests -----------------------------------------------------------------

test: all
	@t/tools/install-deps test
	@BUILD=$(BUILD) CC="$(CC)" $(PROVE) -j$(JOBS) -It/lib $(TESTS)

# the long tests: SEED repeats a run, PROVES names some of them

PROVES ?= $(sort $(wildcard t/prove/*.t))

prove: all
	@t/tools/install-deps prove
	@SEED=$(SEED) BUILD=$(BUILD) CC="$(CC)" $(PROVE) -It/lib $(PROVES)

test-browser: all
	@t/tools/install-deps browser
	@BUILD=$(BUILD) $(PROVE) -It/lib $(BROWSER_TESTS)

bench: all
	@t/tools/install-deps bench
	@BUILD=$(BUILD) t/bench/run

check: all
	@t/tools/install-deps check
	@BUILD=$(BUILD) t/tools/check

# nginx itself and the module under AddressSanitizer and UBSan, on all tests

sanitize: all
	@t/tools/install-deps sanitize
	@BUILD=$(BUILD) CC="$(CC)" t/tools/sanitize $(TESTS)

# libFuzzer on what others write: FUZZ="bkapi reader" for some of t/fuzz

FUZZ         ?=
FUZZ_SECONDS ?= 60

fuzz: all
	@t/tools/install-deps fuzz
	@BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) t/fuzz/run $(FUZZ)

# which lines and branches of core, shm, sync and http the tests run

coverage: deps
	@t/tools/install-deps coverage
	@BUILD=$(BUILD) t/tools/coverage $(TESTS)

clean:
	@BUILD=$(BUILD) t/tools/run stop 2>/dev/null || true
	rm -rf $(BUILD)

help:
	@echo 'make                build $(notdir $(MODULE)) and app-permission'
	@echo 'make run            a gateway with sample grants, and calls of it'
	@echo 'make stop           end what "make run" left running'
	@echo 'make test           every test            TESTS="t/a.t t/b.t" for some'
	@echo 'make prove          the long tests  SEED=n PROVES=t/prove/core.t'
	@echo 'make test-browser   the status page in headless Chromium'
	@echo 'make bench          measure'
	@echo 'make check          layers, status page, cppcheck, clang-tidy'
	@echo 'make sanitize       all tests under AddressSanitizer and UBSan'
	@echo 'make fuzz           libFuzzer         FUZZ=bkapi FUZZ_SECONDS=600'
	@echo 'make coverage       the lines and branches that tests run  TESTS='
	@echo 'make install        to DESTDIR= PREFIX=/usr/local MODULES='
	@echo 'make uninstall      takes that away'
	@echo 'make deb            Debian packages'
	@echo 'make dist           the sources as a tarball'
	@echo 'make install-deps   every Debian package that any of these needs'
	@echo 'make clean          remove $(BUILD)'
	@echo
	@echo 'BUILD=dir           where the output goes     (now $(BUILD))'
	@echo 'NGINX_SRC=dir       nginx to build for        (now $(NGINX_SRC))'
