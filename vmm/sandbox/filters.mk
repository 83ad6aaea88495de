# SPDX-License-Identifier: GPL-2.0
# How filters.h is made, for the VMM's Makefile and that of the tests.
#
# in: vmm (this tree's vmm/), filters_dir (where it goes). out: $(filters_dir)/filters.h. Needs libseccomp-dev.

$(filters_dir)/filters.h: $(vmm)/sandbox/generate.c $(vmm)/sandbox/calls.c $(vmm)/sandbox/sandbox.h $(vmm)/vmm.h $(vmm)/sandbox/filters.mk
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I$(vmm) -I$(vmm)/../uapi -o $(@D)/generate $(filter %.c,$^) -lseccomp
	$(@D)/generate >$@.tmp
	mv $@.tmp $@
