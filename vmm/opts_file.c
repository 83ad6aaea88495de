// SPDX-License-Identifier: GPL-2.0
/*
 * Argument files: `vkick run @FILE` takes what is in FILE for arguments in that place.
 *
 * in:  words with white space between them; "in quotes" it belongs to the word, as does #, which otherwise
 *	begins a comment, to the end of the line
 * out: argv, longer. @ in a file is not looked at
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"

struct words {
	char **word;
	int nr;
};

static void add(struct words *w, char *word)
{
	char **more = realloc(w->word, (w->nr + 1) * sizeof(*more));

	if (!more)
		die("out of memory");
	w->word = more;
	w->word[w->nr++] = word;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		die("@%s: %s", path, strerror(errno));
	/* All of it: a text has no zeroes. */
	n = getdelim(&text, &room, 0, f);
	if (n < 0 && ferror(f))
		die("@%s: %s", path, strerror(errno));
	fclose(f);
	return n < 0 ? NULL : text;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Words are made in place: without its quotes none is longer than it was. */
static void split(struct words *w, const char *path, char *s)
{
	while (*s) {
		char *word = s, *end = s;
		bool quoted = false;

		if (is_space(*s)) {
			s++;
			continue;
		}
		if (*s == '#') {
			s += strcspn(s, "\n");
			continue;
		}
		for (; *s && (quoted || !is_space(*s)); s++) {
			if (*s == '"')
				quoted = !quoted;
			else
				*end++ = *s;
		}
		if (quoted)
			die("@%s: a quote is not closed: %.*s", path, (int)strcspn(word, "\n"), word);
		if (*s)
			s++;
		*end = 0;
		add(w, word);
	}
}

char **opts_expand(int *argc, char **argv)
{
	struct words w = { NULL, 0 };
	int i;

	for (i = 0; i < *argc; i++) {
		char *text = argv[i][0] == '@' ? read_file(argv[i] + 1) : NULL;

		if (argv[i][0] != '@')
			add(&w, argv[i]);
		else if (text)
			split(&w, argv[i] + 1, text);
	}
	*argc = w.nr;
	return w.word;
}
