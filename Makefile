# millrace - one Makefile, not recursive; all output goes to build/$(BUILD)/.
#
#   make                      the libraries and the millrace program
#   make demo                 see it work on real data
#   make test BUILD=asan      the tests, under AddressSanitizer and UBSan
#   make test T=frame         only the tests whose name contains "frame"
#   make V=1                  show the commands in full
#   make help                 every target

BUILD   ?= release
T       ?=
CASES   ?= 1000000
SECONDS ?= 60
PREFIX  ?= /usr/local
DESTDIR ?=
O       ?= build/$(BUILD)
VERSION := $(shell sed -n 's/^.define MR_VERSION "\(.*\)"/\1/p' core/millrace.h)
ABI     := 0

all:

# ---- flags -----------------------------------------------------------------------------

CFLAGS   ?= -g
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Wwrite-strings -Wformat=2 -Wundef
ifdef WERROR
WARNINGS += -Werror
endif

MODE_release := -O2
MODE_debug   := -O0
MODE_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_tsan    := -O1 -fsanitize=thread
MODE_cover   := -O0 --coverage
MODE_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifndef MODE_$(BUILD)
$(error BUILD=$(BUILD) is none of release debug asan tsan cover fuzz)
endif
ifeq ($(BUILD),fuzz)
CC := clang
endif

ALL_CPPFLAGS := -D_GNU_SOURCE -Icore -Iproducer -Iconsumer -Itools -Itests $(CPPFLAGS)
ALL_CFLAGS   := -std=c11 -pthread -fPIC -fno-semantic-interposition $(WARNINGS) \
                $(MODE_$(BUILD)) $(CFLAGS)
ALL_LDFLAGS  := -pthread -Wl,--as-needed $(MODE_$(BUILD)) $(LDFLAGS)
engine_libs   := -lzstd -lxxhash -lcrypto
remote_libs   := -lcurl -lcrypto
consumer_libs := -lsqlite3
server_libs   := -lnghttp2 -lssl
tools_libs    := -lz -lm -lrdkafka

# ---- what is built from what -----------------------------------------------------------
# A new file in one of these folders is built without an edit here.

remote_src   := $(wildcard core/wire/remote*.c $(addprefix core/wire/,sign.c digest.c credentials.c))
core_src     := $(filter-out $(remote_src),$(wildcard core/*.c core/*/*.c))
producer_src := $(wildcard producer/*.c)
consumer_src := $(wildcard consumer/*.c)
tools_src    := $(wildcard tools/*.c tools/*/*.c)
test_src     := $(wildcard $(patsubst %,tests/%/test_*.c,unit api clients crash))
fuzz_src     := $(wildcard tests/fuzz/fuzz_*.c)
bench_src    := $(wildcard tests/bench/bench_*.c)
support_src  := $(wildcard tests/support/*.c) $(filter-out $(bench_src),$(wildcard tests/bench/*.c))
src          := $(core_src) $(remote_src) $(producer_src) $(consumer_src) $(tools_src) $(support_src) \
                $(test_src) $(fuzz_src) $(bench_src) tests/fuzz/replay.c
headers      := $(foreach d,core producer consumer tools tests,$(wildcard $d/*.h $d/*/*.h))
scripts      := .ci/run .ci/deps $(wildcard tests/*.sh tests/*/*.sh tools/*/*.sh)

# The libraries, dependants first: each is NAME.a and NAME.so, and has a public header.
dependants   := $(if $(producer_src),libmillrace-producer) $(if $(consumer_src),libmillrace-consumer) \
                libmillrace-remote
libraries    := $(dependants) libmillrace
public       := core/millrace.h core/millrace-remote.h $(wildcard producer/millrace-producer.h \
                  consumer/millrace-consumer.h)

objects       = $(patsubst %.c,$O/%.o,$1)
archives     := $(patsubst %,$O/%.a,$(libraries))
shared       := $(patsubst %,$O/%.so,$(libraries))
program      := $(if $(wildcard tools/millrace.c),$O/millrace)
commands     := $(if $(tools_src),$O/tools.a)
support      := $(if $(support_src),$O/tests/support.a)
tests        := $(patsubst %.c,$O/%,$(test_src))
replays      := $(patsubst %.c,$O/%_replay,$(fuzz_src))
fuzzers      := $(patsubst %.c,$O/%,$(fuzz_src))
benches      := $(patsubst %.c,$O/%,$(bench_src))
shells       := $(wildcard tests/tools/*.sh)

.PHONY: all programs
all: $(archives) $(shared) $(program)       ## the libraries and the program (BUILD=release|debug|...)
programs: all $(tests) $(benches) $(replays) ## the tests and benchmarks, too

$O/libmillrace.a:          $(call objects,$(core_src))
$O/libmillrace-remote.a:   $(call objects,$(remote_src))
$O/libmillrace-producer.a: $(call objects,$(producer_src))
$O/libmillrace-consumer.a: $(call objects,$(consumer_src))
$O/libmillrace.map:          core/millrace.h $(dependants:%=$O/%.a)
$O/libmillrace-remote.map:   core/millrace-remote.h
$O/libmillrace-producer.map: producer/millrace-producer.h
$O/libmillrace-consumer.map: consumer/millrace-consumer.h
$(shared): $O/%.so: $O/%.a
$(dependants:%=$O/%.so): $O/libmillrace.so
$O/libmillrace.so:          ALL_LDLIBS := $(engine_libs) $(LDLIBS)
$O/libmillrace-remote.so:   ALL_LDLIBS := $(remote_libs) $(LDLIBS)
$O/libmillrace-producer.so: ALL_LDLIBS := $(LDLIBS)
$O/libmillrace-consumer.so: ALL_LDLIBS := $(consumer_libs) $(LDLIBS)
$O/tools.a:                $(call objects,$(filter-out tools/millrace.c,$(tools_src)))
$O/tests/support.a:        $(call objects,$(support_src))

$(program): $O/tools/millrace.o $(commands) $(archives)
$(tests) $(benches): $O/%: $O/%.o $(support) $(commands) $(archives)
$(replays): $O/%_replay: $O/%.o $O/tests/fuzz/replay.o $(support) $(commands) $(archives)
$(fuzzers): $O/%: $O/%.o $(support) $(commands) $(archives)
$(fuzzers): ALL_LDFLAGS += -fsanitize=fuzzer
$(program) $(tests) $(benches) $(replays) $(fuzzers): \
    ALL_LDLIBS := $(tools_libs) $(server_libs) $(consumer_libs) $(remote_libs) $(engine_libs) $(LDLIBS)
$(tests) $(benches) $(replays) $(fuzzers): ALL_LDLIBS += -lcmocka

# ---- rules -----------------------------------------------------------------------------

ifeq ($(V),)
Q   := @
say  = @printf '  %-6s %s\n' $1 $2;
else
say  =
endif

.SECONDARY:
.DELETE_ON_ERROR:

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(archives) $(support) $(commands):
	$(call say,AR,$@)rm -f $@ && $(AR) rcsD $@ $^

# Exports what the public header declares, and nothing else; but libmillrace, under a version of its
# own, what the other libraries of this tree take besides, so that all run one copy of the code.
declared = $(CC) -Icore -E $1 | awk '/^\# [0-9]/ { own = $$3 == "\"$1\""; next } own { text = text " " $$0 } \
                                          own && /[;{}]/ { print text; text = "" }' | \
           sed -nE '/^ *typedef/d; s/^.*\b(mr_[a-z0-9_]+)\(.*$$/\1;/p' | sort -u
missing  = nm -g $1 | awk 'NF == 2 && $$2 ~ /^mr_/ { used[$$2] } NF == 3 { defined[$$3] } \
                           END { for (name in used) if (!(name in defined)) print name ";" }' | sort

$O/%.map:
	@mkdir -p $(@D)
	@$(call declared,$<) > $@.public
	@{ echo 'MILLRACE_$(ABI) { global:'; cat $@.public; echo 'local: *; };'; } > $@
	@$(if $(word 2,$^),{ echo 'MILLRACE_PRIVATE { global:'; \
	   $(call missing,$(wordlist 2,9,$^)) | comm -23 - $@.public; echo '};'; } >> $@)

$(shared): $O/%.so: $O/%.map
	$(call say,LD,$@)$(CC) -shared $(ALL_LDFLAGS) -Wl,-soname,$*.so.$(ABI) \
	 -Wl,--version-script=$O/$*.map -o $@ -Wl,--whole-archive $O/$*.a -Wl,--no-whole-archive \
	 $(filter %.so,$^) $(ALL_LDLIBS)
	@ln -sf $*.so $@.$(ABI)

$(program) $(tests) $(benches) $(replays) $(fuzzers):
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

# Rebuilds when the compiler or its flags change.
$O/flags: FORCE | deps
	@mkdir -p $(@D)
	@{ echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)'; $(CC) --version; } > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:

$O/tools/keys/render_page.o: tools/keys/page.html # is in it

-include $(patsubst %.c,$O/%.d,$(src))

# ---- what must be installed ------------------------------------------------------------

needs_test  := test
needs_bench := test
needs_programs := test
needs_cover := test
needs_fuzz  := test fuzz
needs_lint  := lint
needs_format := lint
needs_ci    := test lint fuzz
needs_deps  := test lint fuzz
needs_test-crash := test
needs_interop := test interop

.PHONY: deps
deps:                                       ## install the packages that are missing, saying which
	@CC='$(CC)' .ci/deps build $(sort $(foreach goal,$(MAKECMDGOALS),$(needs_$(goal))))

# ---- tests -----------------------------------------------------------------------------

picked = $(if $T,$(foreach t,$1,$(if $(findstring $T,$(notdir $t)),$t)),$1)
run    = CC='$(CC)' CXX='$(CXX)' TEST_CFLAGS='$(MODE_$(BUILD)) $(CFLAGS)' BUILD=$(BUILD) \
         O='$O' MILLRACE='$(abspath $(program))' tests/run.sh

.PHONY: test test-crash interop demo bench fuzz run-fuzzers cover run-cover
chosen       := $(call picked,$(tests) $(replays) $(shells))
chosen_crash := $(filter $O/tests/crash/%,$(chosen))

test: $(chosen)                             ## every test (T=name picks some, BUILD=asan|tsan checks more)
	$(Q)$(run) $^
# All but these may run the program, and look at what is built.
test: | $(if $(filter-out $O/tests/unit/% $O/tests/fuzz/%,$(chosen)),all)

test-crash: $(chosen_crash) | all           ## many more simulated power cuts: CASES=1000000, MR_SEED=
	$(Q)MR_CASES=$(CASES) TEST_TIMEOUT=86400 $(run) $^

interop: all                                ## real AWS clients against the server (installs them in build/; T=name picks some)
	$(Q)T='$T' O='$O' MILLRACE='$(abspath $(program))' tests/interop/run.sh

demo: all                                   ## the main job on real data, in under a minute
	$(Q)MILLRACE='$(abspath $(program))' tools/labs/demo.sh

bench: $(call picked,$(benches)) $(program) ## how fast, beside the machine's own limits (T=name picks some)
	$(Q)O='$O' MILLRACE='$(abspath $(program))' tests/bench/run.sh $(call picked,$(benches))

fuzz:                                       ## fuzz each decoder for SECONDS=60 (T=name picks some)
	$(Q)$(MAKE) --no-print-directory BUILD=fuzz run-fuzzers
run-fuzzers: $(call picked,$(fuzzers))
	$(Q)for f in $^; do name=$${f##*/fuzz_}; found=$O/corpus/$$name; saved=tests/fuzz/corpus/$$name; \
	 echo "== $$name"; mkdir -p $$found; [ -d $$saved ] || saved=; \
	 $$f -max_total_time=$(SECONDS) -artifact_prefix=$O/$$name- $$found $$saved || exit; done

cover:                                      ## line coverage of the tests
	$(Q)$(MAKE) --no-print-directory BUILD=cover run-cover
run-cover: test
	$(Q)tests/lint/cover.sh $O

# ---- habits ----------------------------------------------------------------------------

.PHONY: lint lint-format lint-headers lint-symbols format report
lint: lint-format lint-headers lint-symbols ## the checks that need no test run
	$(call say,LINT,layers)tests/lint/layers.sh
	$(call say,LINT,tree)tests/lint/tree.sh
	$(call say,LINT,links)tests/lint/links.sh
	$(call say,LINT,scripts)shellcheck -x $(scripts)
	$(call say,LINT,promises)tests/lint/promises.sh

lint-format: | deps
	$(call say,LINT,format)clang-format --dry-run --Werror $(src) $(headers)

lint-headers: $(patsubst %.h,$O/%.h.ok,$(headers)) $(patsubst %.h,$O/%.hpp.ok,$(public))

$O/%.h.ok: %.h $O/flags
	@mkdir -p $(@D)
	$(call say,HDR,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-unused-function -fsyntax-only -xc $< && touch $@

# The public headers are C++, too.
$O/%.hpp.ok: %.h $O/flags
	@mkdir -p $(@D)
	$(call say,HDR++,$<)$(CXX) -Icore -std=c++17 -Wall -Wextra -pedantic -Werror -fsyntax-only -xc++ $< && touch $@

lint-symbols: $(archives) $(shared)
	$(call say,LINT,symbols)tests/lint/symbols.sh $O $(libraries)

format: | deps                              ## clang-format every file
	$(Q)clang-format -i $(src) $(headers)

report:                                     ## the longest files and functions: where to look next
	$(Q)tests/lint/report.sh

compile_commands.json: Makefile             ## for clangd and clang-tidy
	$(Q){ echo '['; sep=; for f in $(src); do \
	  printf '%s{"directory":"%s","file":"%s","command":"%s"}' "$$sep" "$(CURDIR)" $$f \
	    "$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c $$f"; sep=','; done; echo ']'; } > $@

# ---- install ---------------------------------------------------------------------------

bindir     := $(DESTDIR)$(PREFIX)/bin
libdir     := $(DESTDIR)$(PREFIX)/lib
includedir := $(DESTDIR)$(PREFIX)/include
mandir     := $(DESTDIR)$(PREFIX)/share/man/man1
bashdir    := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir     := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir    := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
systemddir := $(DESTDIR)$(PREFIX)/lib/systemd/system
labsdir    := $(DESTDIR)$(PREFIX)/share/millrace/labs

.PHONY: install uninstall clean help ci
install: all                                ## to DESTDIR/PREFIX: program, libraries, headers, man page, completion
	$(Q)install -d $(bindir) $(libdir)/pkgconfig $(includedir) $(mandir) \
	  $(bashdir) $(zshdir) $(fishdir)
	$(Q)install -m 755 $(program) $(bindir)
	$(Q)install -m 644 $(public) $(includedir)
	$(Q)install -m 644 $(archives) $(libdir)
	$(Q)for lib in $(libraries); do \
	  install -m 755 $O/$$lib.so $(libdir)/$$lib.so.$(VERSION) && \
	  ln -sf $$lib.so.$(VERSION) $(libdir)/$$lib.so.$(ABI) && \
	  ln -sf $$lib.so.$(ABI) $(libdir)/$$lib.so && \
	  sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' tools/pkgconfig/$${lib#lib}.pc.in \
	    > $(libdir)/pkgconfig/$${lib#lib}.pc || exit; done
	$(Q)for f in $(wildcard tools/man/*.1); do install -m 644 $$f $(mandir) || exit; done
	$(Q)install -m 644 tools/completions/millrace $(bashdir)
	$(Q)install -m 644 tools/completions/_millrace $(zshdir)
	$(Q)install -m 644 tools/completions/millrace.fish $(fishdir)
	$(Q)install -d $(systemddir)
	$(Q)sed 's|@PREFIX@|$(PREFIX)|' tools/systemd/millrace.service.in > $(systemddir)/millrace.service
	$(Q)install -m 644 tools/systemd/millrace.socket $(systemddir)
	$(Q)install -d $(labsdir)/data
	$(Q)install -m 644 tools/labs/lab.sh $(wildcard tools/labs/[0-9]*.sh) $(labsdir)
	$(Q)install -m 644 $(wildcard tools/labs/data/*) $(labsdir)/data

uninstall:                                  ## undo install
	$(Q)rm -f $(bindir)/millrace $(libdir)/libmillrace.* $(libdir)/libmillrace-*.* \
	  $(includedir)/millrace*.h $(libdir)/pkgconfig/millrace*.pc $(mandir)/millrace*.1 \
	  $(bashdir)/millrace $(zshdir)/_millrace $(fishdir)/millrace.fish
	$(Q)rm -f $(systemddir)/millrace.service $(systemddir)/millrace.socket
	$(Q)rm -rf $(labsdir)

ci:                                         ## what the gate runs: lint, builds, tests plain and under sanitizers
	$(Q).ci/run

clean:                                      ## remove build/
	$(Q)rm -rf build compile_commands.json

help:                                       ## this list
	$(Q)sed -nE 's/^([a-z_.-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 24
