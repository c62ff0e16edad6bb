#include "worker/executors/ansible_env.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Nothing of ours but these reaches Ansible; no job shares temporary files, facts or ssh sockets with
 * another.  Host keys are checked against the service user's known_hosts. */

static const char *const settings[] = {
    "ANSIBLE_CALLBACKS_ENABLED=aegir.hler.events",
    "ANSIBLE_NOCOLOR=1",
    "ANSIBLE_FORCE_COLOR=0",
    "ANSIBLE_NOCOWS=1",
    "ANSIBLE_RETRY_FILES_ENABLED=0",
    "ANSIBLE_HOST_KEY_CHECKING=True",
    "ANSIBLE_NO_TARGET_SYSLOG=1", /* modules log their arguments there */
    "ANSIBLE_INVENTORY_UNPARSED_FAILED=1",
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=1",
    "ANSIBLE_LOCALHOST_WARNING=0",
    "ANSIBLE_DEPRECATION_WARNINGS=0",
    "PYTHONUNBUFFERED=1",
    "PYTHONDONTWRITEBYTECODE=1",
    "LANG=C.UTF-8",
    "LC_ALL=C.UTF-8",
    "TERM=dumb",
};

/* roles/ of each root. */
static void
add_roles_path(const char *roots, struct words *out)
{
    CLEANUP(mem_cleanup) char *list = mem_dup(roots);
    CLEANUP(buf_free) struct buf path = {0};
    char *save = NULL;

    for (char *root = strtok_r(list, ":", &save); root != NULL; root = strtok_r(NULL, ":", &save))
        buf_printf(&path, "%s%s/roles", path.len == 0 ? "" : ":", root);
    words_add(out, "ANSIBLE_ROLES_PATH=%s", path.data == NULL ? "" : path.data);
}

void
ansible_env(const struct job *job, const struct ansible_spec *spec,
            const struct ansible_files *files, struct words *out)
{
    const char *collections = getenv("HLER_COLLECTIONS");

    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        words_add(out, "%s", settings[i]);
    words_inherit(out, "PATH");
    words_inherit(out, "HLER_*");
    words_add(out, "HOME=%s", job->home);
    words_add(out, "TMPDIR=%s", job->tmp);
    words_add(out, "HLER_ANSIBLE_REPORT=%s", files->report);
    words_add(out, "ANSIBLE_CONFIG=%s", files->config);
    words_add(out, "ANSIBLE_HOME=%s/.ansible", job->home);
    words_add(out, "ANSIBLE_LOCAL_TEMP=%s/ansible", job->tmp);
    words_add(out, "ANSIBLE_SSH_CONTROL_PATH_DIR=%s", files->control.dir);
    words_add(out, "ANSIBLE_COLLECTIONS_PATH=%s:/usr/share/ansible/collections",
              collections == NULL ? HLER_PREFIX "/share/ansible/collections" : collections);
    words_add(out, "ANSIBLE_PYTHON_INTERPRETER=%s",
              spec->python == NULL ? "auto_silent" : spec->python);
    add_roles_path(job->roots, out);
}
