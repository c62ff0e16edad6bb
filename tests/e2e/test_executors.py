"""The executors' command line, and what the ansible executor makes of a playbook's end."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from executor_fixtures import (  # noqa: F401 pylint: disable=unused-import
    attempt_fixture, LOCAL, play, refused, root_fixture)
from runner_double import BUILD


@pytest.mark.parametrize('name', ['ansible', 'terraform'])
def test_describe(name):
    if name == 'terraform' and not shutil.which('terraform'):
        pytest.skip('terraform is not installed')
    out = subprocess.run([BUILD / 'libexec/executors' / name, 'describe'], capture_output=True,
                         check=True)
    told = json.loads(out.stdout)
    assert told['name'] == name
    assert (told['protocol'], told['stop_signal'], told['stop_target']) == (1, 'INT', 'leader')


@pytest.mark.parametrize('name,tool', [('ansible', 'ansible-playbook'), ('terraform', 'terraform')])
def test_describe_without_the_tool(name, tool, tmp_path):
    out = subprocess.run([BUILD / 'libexec/executors' / name, 'describe'], capture_output=True,
                         text=True, env={'PATH': str(tmp_path)})
    assert out.returncode != 0 and out.stdout == ''
    assert tool + ' is not installed' in out.stderr


def test_usage():
    out = subprocess.run([BUILD / 'libexec/executors/ansible', 'walk'], capture_output=True, text=True)
    assert out.returncode == 2 and 'usage:' in out.stderr


def test_success(root, attempt):
    run = attempt('ansible', play(root, '- command: echo hello')).run()
    assert run.code == 0, run.stderr
    assert run.server.broken == []
    (ok,) = run.events('runner_ok')
    assert ok['host'] == 'localhost' and ok['stdout'] == 'hello' and ok['rc'] == 0
    assert ok['action'] in ('command', 'ansible.builtin.command') and ok['changed'] is True
    assert ok['path'].endswith('site.yml:4') and ok['duration_ms'] > 0
    assert [e['event'] for e in run.server.progress] == [
        'playbook_start', 'play_start', 'task_start', 'runner_ok', 'stats']
    assert run.events('stats')[0]['hosts']['localhost']['ok'] == 1
    assert run.cause is None


def test_failed_task(root, attempt):
    run = attempt('ansible', play(root, '- name: Break it\n  fail: {msg: no disk}')).run()
    assert run.code == 1
    assert run.message == 'ansible: localhost, task Break it: no disk'
    (failed,) = run.events('runner_failed')
    assert failed['msg'] == 'no disk' and failed['task'] == 'Break it'


def test_message_of_a_failed_command(root, attempt):
    run = attempt('ansible', play(root, '- name: X\n  shell: echo "no such site \u00e6" >&2; exit 3')).run()
    assert run.code == 1
    assert run.message == 'ansible: localhost, task X: non-zero return code: no such site \u00e6'
    long = attempt('ansible', play(root, '- fail: {msg: "%s"}' % ('\u00e6' * 2000))).run()
    assert long.code == 1 and '\ufffd' not in long.message and len(long.message.encode()) < 1020


def test_free_strategy(root, attempt):
    (root / 'hosts.ini').write_text('h[1:3] ansible_connection=local\n')
    spec = dict(play(root, '- debug: {msg: a}\n- debug: {msg: b}'), inventory='hosts.ini')
    text = (root / 'site.yml').read_text()
    (root / 'site.yml').write_text(text.replace('  tasks:', '  strategy: free\n  tasks:'))
    run = attempt('ansible', spec).run()
    assert run.code == 0 and len(run.events('task_start')) == 2 and len(run.events('runner_ok')) == 6


def test_ignored_and_rescued_failures_are_no_failure(root, attempt):
    run = attempt('ansible', play(root, '''
- fail: {msg: first}
  ignore_errors: true
- block: [{fail: {msg: second}}]
  rescue: [{debug: {msg: saved}}]
''')).run()
    assert run.code == 0, run.stderr
    assert [e.get('ignored', False) for e in run.events('runner_failed')] == [True, False]


def test_unreachable(root, attempt):
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        port = closed.getsockname()[1]
        (root / 'hosts.ini').write_text(
            'web1 ansible_host=127.0.0.1 ansible_port=%d ansible_ssh_retries=0\n' % port)
        spec = dict(play(root, '- name: Knock\n  ping:'), inventory='hosts.ini')
        run = attempt('ansible', spec).run()
    assert run.code == 75 and run.cause == 'unreachable'
    assert run.message.startswith('ansible: web1 is unreachable, task Knock: ')
    assert run.events('runner_unreachable')[0]['host'] == 'web1'


def test_no_host_matched(root, attempt):
    run = attempt('ansible', play(root, '- ping:', hosts='nobody')).run()
    assert run.code == 1 and run.cause == 'no_hosts'
    assert run.events('no_hosts_matched')


def test_unknown_tag_reaches_no_host(root, attempt):
    run = attempt('ansible', dict(play(root, '- ping:'), tags=['other'])).run()
    assert run.code == 1 and run.cause == 'no_hosts'


def test_missing_inventory(root, attempt):
    run = attempt('ansible', dict(play(root, '- ping:'), inventory='none.ini')).run()
    assert run.code == 78 and run.cause == 'not_allowed'
    assert 'inventory none.ini: not found in any of this worker' in run.message


def test_syntax_error(root, attempt):
    spec = play(root, '- ping:')
    (root / 'site.yml').write_text('- hosts: all\n  tasks: [}\n')
    run = attempt('ansible', spec).run()
    assert run.code == 78 and 'ansible-playbook exit 4: ' in run.message
    assert 'playbook or an option' not in run.message  # Ansible's own words


def test_unknown_module(root, attempt):
    run = attempt('ansible', play(root, '- no_such_module:')).run()
    assert run.code == 78 and 'no_such_module' in run.message


def test_missing_collection_is_no_success(root, attempt):
    env = {'HLER_COLLECTIONS': str(root)}
    run = attempt('ansible', play(root, '- ping:'), env=env).run()
    assert run.code == 78 and 'aegir.hler.events' in run.message


def test_check_limit_skip_tags_and_verbosity(root, attempt):
    spec = play(root, '- debug: {msg: "{{ ansible_check_mode }}"}\n- fail:\n  tags: never_me')
    spec.update(check=True, limit='localhost', skip_tags=['never_me'], verbosity=1, forks=2)
    run = attempt('ansible', spec).run()
    assert run.code == 0, run.stderr
    assert run.events('runner_ok')[0]["msg"] in ("true", "True")
    assert 'ansible.cfg as config file' in run.stdout


def test_interrupt(root, attempt):
    pidfile = root / 'pid'
    spec = play(root, '- shell: echo $$ > %s; exec sleep 600' % pidfile)
    run = attempt('ansible', spec).start()
    run.wait_for(lambda: pidfile.exists() and pidfile.read_text().strip(), 'sleep')
    run.process.send_signal(signal.SIGINT)
    run.finish(30)
    assert run.code == 1 and run.message == 'ansible: stopped'
    assert not os.path.exists('/proc/%s' % pidfile.read_text().strip())


def test_all_faults_of_a_specification(attempt):
    run = attempt('ansible', {'playbook': '/etc/x.yml', 'inventory': ['ok', '-x'], 'forks': 0,
                              'limit': '@/etc/passwd', 'tags': ['a', 7], 'become': True,
                              'check': 'yes'}).run()
    assert run.code == 78 and run.cause == 'spec_invalid'
    for fault in ('playbook: ', 'inventory[1]: ', 'forks: ', 'limit: ', 'tags[1]: ', 'check: ',
                  'become: unknown member'):
        assert fault in run.message, run.message


def test_parent_directory(attempt, root):
    (root / 'in').mkdir()
    play(root, '- ping:')
    run = attempt('ansible', {'playbook': 'a/../../site.yml', 'inventory': LOCAL},
                  roots=[root / 'in']).run()
    assert run.code == 78 and run.cause == 'spec_invalid'


def test_symbolic_link_that_leads_out(attempt, root):
    (root / 'in').mkdir()
    spec = play(root, '- ping:')
    (root / 'in/site.yml').symlink_to(root / 'site.yml')
    refused(attempt('ansible', spec, roots=[root / 'in']).run(), 'leads out of its root')


@pytest.mark.parametrize('mode', [0o664, 0o646])
def test_file_that_others_may_write(attempt, root, mode):
    spec = play(root, '- ping:')
    (root / 'site.yml').chmod(mode)
    refused(attempt('ansible', spec).run(), 'can be changed by others')


def test_second_root(attempt, root):
    (root / 'a').mkdir()
    (root / 'b').mkdir()
    spec = play(root / 'b', '- ping:')
    run = attempt('ansible', spec, roots=[root / 'a', root / 'b']).run()
    assert run.code == 0, run.stderr


def test_inputs_are_never_templates(root, attempt):
    witness = root / 'witness'
    evil = "{{ lookup('pipe', 'touch %s') }}" % witness
    inputs = {'a': evil, 'nested': {'list': [evil, {'deep': evil}], 'number': 5, 'yes': True,
                                    'none': None}, 'ansible_connection': 'ssh',
              'unicode': 'Ægir \U0001f30a'}
    run = attempt('ansible', play(root, '''
- aegir.hler.emit: {field: a, value: "{{ hler.inputs.a }}"}
- aegir.hler.emit: {field: nested, value: "{{ hler.inputs.nested }}"}
- aegir.hler.emit: {field: unicode, value: "{{ hler.inputs.unicode }}"}
- set_fact: {copied: "{{ hler.inputs.a }}"}
- aegir.hler.emit: {field: copied, value: "{{ copied }}"}
- aegir.hler.emit: {field: dict_items, value: "{{ hler.inputs.nested | dict2items }}"}
- aegir.hler.emit: {field: earlier, value: "{{ hler.outputs.build.path }}"}
'''), inputs=inputs, outputs={'build': {'path': evil}}).run()
    assert run.code == 0, run.stdout + run.stderr
    assert run.results['a'] == evil and run.results['copied'] == evil
    assert run.results['nested'] == inputs['nested']
    assert run.results['unicode'] == inputs['unicode']
    assert run.results['earlier'] == evil
    assert not witness.exists()


def test_text_that_looks_like_data_stays_text_with_the_string_filter(root, attempt):
    inputs = {'a': '{{ 1 }}', 'b': '[1, 2]', 'c': 'True', 'd': '{"x": 1}'}
    tasks = '\n'.join('- aegir.hler.emit: {field: %s, value: "{{ hler.inputs.%s | string }}"}' % (f, f)
                      for f in inputs)
    run = attempt('ansible', play(root, tasks), inputs=inputs).run()
    assert run.code == 0, run.stderr
    assert run.results == inputs


@pytest.mark.parametrize('key', ['{{ 1 }}', '__ansible_unsafe', '__ansible_vault', 'a{% b'])
def test_keys_that_ansible_would_read(root, attempt, key):
    refused(attempt('ansible', play(root, '- ping:'), inputs={'x': {key: 'v'}}).run(), 'key ')


def test_environment_is_our_own(root, attempt):
    run = attempt('ansible', play(root, '- shell: env > %s/env' % root),
                  env={'SECRET_OF_THE_WORKER': 'x', 'ANSIBLE_STDOUT_CALLBACK': 'json'}).run()
    assert run.code == 0
    out = (root / 'env').read_text()
    assert 'SECRET_OF_THE_WORKER' not in out and 'ANSIBLE_STDOUT_CALLBACK' not in out
    (control,) = re.findall(r'^ANSIBLE_SSH_CONTROL_PATH_DIR=(.*)$', out, re.M)
    assert len(control) < 40 and not os.path.exists(control)


def test_directory_for_ssh_of_a_killed_executor_goes_with_the_next(root, attempt):
    def waiting(name):
        env = root / name
        spec = play(root, '- shell: env > %s.part && mv %s.part %s && exec sleep 600' % (env, env, env), name=name + '.yml')
        run = attempt('ansible', spec).start()
        run.wait_for(env.exists, 'task')
        (control,) = re.findall(r'^ANSIBLE_SSH_CONTROL_PATH_DIR=(.*)$', env.read_text(), re.M)
        return run, control

    def kill(run):
        os.killpg(run.process.pid, signal.SIGKILL)
        run.finish()

    killed, left = waiting('killed')
    kill(killed)
    assert os.path.isdir(left)
    running, used = waiting('running')
    assert not os.path.exists(left) and os.path.isdir(used)
    assert attempt('ansible', play(root, '- ping:')).run().code == 0
    assert os.path.isdir(used)
    kill(running)
    os.rmdir(used)
