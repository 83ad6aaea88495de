# SPDX-License-Identifier: GPL-2.0
#
# vkick: the module, the VMM, the lab, the tests, the benchmarks. `make help` lists
# the targets. Kbuild, beside this file, builds the module, also by itself:
#
#	make -C /lib/modules/$(uname -r)/build M=$PWD modules
#
# KERNELDIR	headers of the kernel to build the module for (default: the running one's)
# O		where everything else is built
# DESTDIR, PREFIX	as usual, for install
# KERNEL	the lab's kernel, 6.12 or 6.1 (default: 6.12; for check, both, and debug)
# T		what `make check` runs: a group, PROGRAM or PROGRAM.TEST (see selftests/run)
# FUZZ_SECONDS	how long each half of `make fuzz` takes (default: 600)
# B		benchmark for `make bench`: path, guest, ring, blk, net, console, vfio or boot
# BLK, NET	-f: all cells of blk, or net, which takes long (see bench/blk, bench/net-guests)
# CONSOLE, VFIO	options of bench/console, bench/vfio

KERNELDIR ?= /lib/modules/$(shell uname -r)/build
O ?= $(CURDIR)/build
PREFIX ?= /usr/local
export KERNEL T B BLK NET CONSOLE VFIO

.PHONY: all
all: modules vmm

.PHONY: help
help:
	@echo 'On a machine without modules or KVM, everything below runs in a throw-away VM:'
	@echo '  make run              boot guests on both datapaths; with a terminal, into a guest shell'
	@echo '  make check            all tests, on both kernels, and the module on a kernel with KASAN, lockdep, ...;'
	@echo '                        T=PROGRAM or T=PROGRAM.TEST: that one; T=lint|native|lab|module|boot: a group;'
	@echo '                        build/check has the logs'
	@echo '  make check-debug      the module on that kernel, and its fuzzers for an hour'
	@echo '  make check-long       1000 switches between datapaths, large streams of consoles, reboots with VFIO, many power cuts, 20,000 resets, 10 million accesses to the device model'
	@echo '  make coverage-module  which lines of the module its tests run'
	@echo '  make bench            benchmarks: a table and JSON in build/bench (B=path|guest|ring|blk|net|console|vfio|boot);'
	@echo '                        BLK=-f, NET=-f: all cells of guests with disks, with networks'
	@echo '  KERNEL=6.12|6.1       with any of these: the Debian kernel that loads the module'
	@echo '  make debug-kernel     build the kernel of lab/run --debug (10 minutes, once)'
	@echo 'On a machine with both:'
	@echo '  make                  build vkick.ko for the running kernel, and the VMM'
	@echo '  make modules          vkick.ko alone (KERNELDIR=... for another kernel)'
	@echo '  make vmm              the VMM alone, build/vmm/vkick'
	@echo '  make install          both, <linux/vkick.h>, the udev rule and man pages (DESTDIR, PREFIX)'
	@echo '  make uninstall        what install installed'
	@echo 'For developers:'
	@echo '  make lint             sparse, checkpatch, warnings of both kernels'
	@echo '  make coverage         which lines of ring/ its tests run'
	@echo '  make fuzz             fuzz ring/, then vmm/, FUZZ_SECONDS=600 each; make fuzz-corpus keeps what that found'
	@echo '  make mutants          put known faults in, one by one, and see the tests catch them (M=NAME: some)'
	@echo '  make clean            remove what was built; downloads stay in ~/.cache/vkick'

.PHONY: modules
modules:
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR) modules

.PHONY: vmm
vmm:
	$(MAKE) -C vmm O=$(O)/vmm

.PHONY: run
run:
	lab/demo

.PHONY: check
check:
	selftests/check

.PHONY: check-debug
check-debug:
	DEBUG=1 selftests/check

.PHONY: check-long
check-long:
	LONG=1 selftests/check

.PHONY: coverage-module
coverage-module:
	selftests/coverage-module

.PHONY: bench
bench:
	lab/setup
	bench/run $(B)

.PHONY: debug-kernel
debug-kernel:
	lab/setup --debug
	lab/debug-kernel

.PHONY: lint
lint:
	lab/setup
	lab/lint

.PHONY: coverage
coverage:
	lab/setup
	selftests/coverage

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz:
	lab/setup
	$(MAKE) -C selftests fuzzer O=$(O)/selftests
	FUZZ_SECONDS=$(FUZZ_SECONDS) SELFTESTS=$(O)/selftests selftests/run -t $$(($(FUZZ_SECONDS) + 120)) ring_fuzz vmm_fuzz

.PHONY: mutants
mutants:
	selftests/mutants/run $(M)

.PHONY: fuzz-corpus
fuzz-corpus:
	$(MAKE) -C selftests fuzzer O=$(O)/selftests
	selftests/fuzz/minimise $(O)/selftests

# What uname -r will say, which in Debian 6.1 is not what `make kernelrelease` says.
kernel_release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KERNELDIR)/include/generated/utsrelease.h)
udevdir := $(DESTDIR)/usr/lib/udev/rules.d
includedir := $(DESTDIR)$(PREFIX)/include

.PHONY: install
install: all
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(MAKE) -C vmm O=$(O)/vmm DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) install
	install -D -m 644 uapi/linux/vkick.h $(includedir)/linux/vkick.h
	install -D -m 644 kmod/60-vkick.rules $(udevdir)/60-vkick.rules
	# Kbuild leaves depmod out where headers come without a System.map, as Debian's do.
	depmod $(if $(DESTDIR),-b $(DESTDIR)) $(kernel_release)
	@echo 'Installed. Load the module with: modprobe vkick'

.PHONY: uninstall
uninstall:
	$(MAKE) -C vmm O=$(O)/vmm DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) uninstall
	rm -f $(udevdir)/60-vkick.rules $(includedir)/linux/vkick.h
	rm -f $(DESTDIR)/lib/modules/$(kernel_release)/updates/vkick.ko* $(DESTDIR)/lib/modules/$(kernel_release)/extra/vkick.ko*
	depmod $(if $(DESTDIR),-b $(DESTDIR)) $(kernel_release)

.PHONY: clean
clean:
	rm -rf $(O)
	rm -f vkick.o vkick.ko vkick.mod vkick.mod.[co] .vkick.* .module-common.o ..module-common.o.cmd \
		.Module.symvers.cmd .modules.order.cmd Module.symvers modules.order
	rm -f kmod/*.o kmod/.*.cmd ring/*.o ring/.*.cmd
