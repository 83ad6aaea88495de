// SPDX-License-Identifier: GPL-2.0
/*
 * Module init and exit: one misc device a class.
 *
 * in:  modprobe, rmmod
 * out: /dev/vkick-<class>
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "vkick.h"

/* Nodes are misc devices (major 10), since some vhost clients check that. */
struct vk_node {
	const struct vk_class *class;
	struct miscdevice misc;
};

static int vk_node_open(struct inode *inode, struct file *file)
{
	struct miscdevice *misc = file->private_data;	/* set by misc_open() */
	struct vk_node *node = container_of(misc, struct vk_node, misc);

	return vk_dev_open(node->class, file);
}

/* .owner makes rmmod fail with EBUSY while a node is open. */
static const struct file_operations vk_node_fops = {
	.owner = THIS_MODULE,
	.open = vk_node_open,
	.release = vk_dev_release,
	.unlocked_ioctl = vk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

#define VK_NODE(_name) {				\
	.class = &vk_##_name##_class,			\
	.misc = {					\
		.minor = MISC_DYNAMIC_MINOR,		\
		.name = "vkick-" #_name,		\
		.fops = &vk_node_fops,			\
	},						\
}

/* A new class is one row here. */
static struct vk_node vk_nodes[] = {
	VK_NODE(null),
	VK_NODE(rng),
	VK_NODE(blk),
	VK_NODE(net),
	VK_NODE(console),
};

static int __init vk_init(void)
{
	int i, err;

	vk_stats_init();
	for (i = 0; i < ARRAY_SIZE(vk_nodes); i++) {
		err = misc_register(&vk_nodes[i].misc);
		if (err)
			goto deregister;
	}
	return 0;

deregister:
	while (i--)
		misc_deregister(&vk_nodes[i].misc);
	vk_stats_exit();
	return err;
}

static void __exit vk_exit(void)
{
	int i = ARRAY_SIZE(vk_nodes);

	while (i--)
		misc_deregister(&vk_nodes[i].misc);
	vk_stats_exit();
	/* vk_req_done() is our code, and may be on its way out. */
	synchronize_rcu();
}

module_init(vk_init);
module_exit(vk_exit);

MODULE_DESCRIPTION("In-kernel virtqueue service");
MODULE_AUTHOR("The vkick authors");
MODULE_LICENSE("GPL");
