#ifndef WORKER_EXECUTORS_ANSIBLE_ENV_H
#define WORKER_EXECUTORS_ANSIBLE_ENV_H

#include "worker/executors/ansible_spec.h"
#include "worker/executors/control.h"
#include "worker/executors/job.h"
#include "worker/executors/words.h"

/* The files of one run, absolute paths. */
struct ansible_files {
    char *config;    /* an ansible.cfg of our own, so that no other is picked up */
    char *variables; /* vars.json */
    char *playbook;
    char *inventory;
    char *report;           /* written by the callback */
    struct control control; /* ssh's sockets */
};

/* The whole environment of ansible-playbook. */
void ansible_env(const struct job *job, const struct ansible_spec *spec,
                 const struct ansible_files *files, struct words *out);

#endif
