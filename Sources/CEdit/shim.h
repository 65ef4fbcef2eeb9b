// libedit, found when the program runs: where it is missing, lines are read without editing, and
// the program needs no other library. Swift cannot call functions of variable arguments; what is
// used of those has a name of its own here.
#pragma once
#include <dlfcn.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

// The library's functions, an editor and its history.
struct tsr_edit {
    EditLine *(*el_init)(const char *, FILE *, FILE *, FILE *);
    int (*el_wset)(EditLine *, int, ...);
    const wchar_t *(*el_wgets)(EditLine *, int *);
    void (*el_resize)(EditLine *);
    HistoryW *(*history_winit)(void);
    int (*history_w)(HistoryW *, HistEventW *, int, ...);
    EditLine *editor;
    HistoryW *history;
};

static inline bool tsr_edit_load(struct tsr_edit *edit) {
    void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return false;
    edit->el_init = (EditLine * (*)(const char *, FILE *, FILE *, FILE *)) dlsym(library, "el_init");
    edit->el_wset = (int (*)(EditLine *, int, ...))dlsym(library, "el_wset");
    edit->el_wgets = (const wchar_t *(*)(EditLine *, int *))dlsym(library, "el_wgets");
    edit->el_resize = (void (*)(EditLine *))dlsym(library, "el_resize");
    edit->history_winit = (HistoryW * (*)(void)) dlsym(library, "history_winit");
    edit->history_w = (int (*)(HistoryW *, HistEventW *, int, ...))dlsym(library, "history_w");
    return edit->el_init && edit->el_wset && edit->el_wgets && edit->el_resize &&
           edit->history_winit && edit->history_w;
}

// Begins an editor with Emacs' keys that shows lines on standard error, leaves signals alone and
// gets its characters from `read`. False where libedit is missing.
static inline bool tsr_edit_open(struct tsr_edit *edit, int history_size, el_rfunc_t read) {
    if (!tsr_edit_load(edit)) return false;
    // Text is UTF-8 here whatever the locale says, and the library asks the locale.
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    edit->editor = edit->el_init("tessera", stdin, stderr, stderr);
    edit->history = edit->history_winit();
    if (edit->editor == NULL || edit->history == NULL) return false;
    HistEventW event;
    edit->history_w(edit->history, &event, H_SETSIZE, history_size);
    edit->history_w(edit->history, &event, H_SETUNIQUE, 1);
    edit->el_wset(edit->editor, EL_EDITOR, L"emacs");
    edit->el_wset(edit->editor, EL_SIGNAL, 0);
    edit->el_wset(edit->editor, EL_HIST, edit->history_w, edit->history);
    edit->el_wset(edit->editor, EL_GETCFN, read);
    return true;
}

static inline wchar_t *tsr_edit_prompt(EditLine *editor) {
    static wchar_t prompt[] = L"> ";
    return prompt;
}

static inline wchar_t *tsr_edit_further_prompt(EditLine *editor) {
    static wchar_t prompt[] = L"| ";
    return prompt;
}

// The next line, its length in `count`; NULL at the end of the input and where `read` gave up.
static inline const wchar_t *tsr_edit_line(struct tsr_edit *edit, bool is_further, int *count) {
    edit->el_wset(edit->editor, EL_PROMPT,
                  is_further ? tsr_edit_further_prompt : tsr_edit_prompt);
    return edit->el_wgets(edit->editor, count);
}

// Takes the terminal again after the shell had it, and draws the line anew.
static inline void tsr_edit_resume(struct tsr_edit *edit) {
    edit->el_resize(edit->editor);
    edit->el_wset(edit->editor, EL_PREP_TERM, 1);
    edit->el_wset(edit->editor, EL_REFRESH);
}

static inline void tsr_edit_remember(struct tsr_edit *edit, const wchar_t *line) {
    HistEventW event;
    edit->history_w(edit->history, &event, H_ENTER, line);
}

static inline bool tsr_edit_read_history(struct tsr_edit *edit, const char *path) {
    HistEventW event;
    return edit->history_w(edit->history, &event, H_LOAD, path) >= 0;
}

static inline bool tsr_edit_write_history(struct tsr_edit *edit, const char *path) {
    HistEventW event;
    return edit->history_w(edit->history, &event, H_SAVE, path) >= 0;
}
