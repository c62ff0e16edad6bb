"""The Ansible collection: emit, set_stats, events, and what must not be seen."""
import subprocess

import pytest

from executor_fixtures import (  # noqa: F401 pylint: disable=unused-import
    attempt_fixture, OTHER, play, root_fixture)
from runner_double import TARGET, TOP


def test_emit(root, attempt):
    run = attempt('ansible', play(root, '''
- aegir.hler.emit: {field: site_url, value: "http://x/"}
- aegir.hler.emit: {uuid: "%s", field: sizes, value: [1, 2.5, true, null, {a: b}], mode: append}
- aegir.hler.emit: {field: token, value: hush-hush-1, secret: true}
- aegir.hler.emit: {field: token2, value: hush-hush-2}
  no_log: true
''' % OTHER.upper())).run()
    assert run.code == 0, run.stdout + run.stderr
    assert run.server.results == [
        {'entity': TARGET, 'field': 'site_url', 'mode': 'set', 'secret': False, 'value': 'http://x/'},
        {'entity': OTHER, 'field': 'sizes', 'mode': 'append', 'secret': False,
         'value': [1, 2.5, True, None, {'a': 'b'}]},
        {'entity': TARGET, 'field': 'token', 'mode': 'set', 'secret': True, 'value': 'hush-hush-1'},
        {'entity': TARGET, 'field': 'token2', 'mode': 'set', 'secret': True, 'value': 'hush-hush-2'}]
    assert 'hush-hush' not in run.everything


@pytest.mark.parametrize('args,why', [
    ('{field: a, value: 1, uuid: nonsense}', 'is not a UUID'),
    ('{field: A-b, value: 1}', 'does not match'),
    ('{field: a}', 'value: is required'),
    ('{value: 1}', 'field: is required'),
    ('{field: a, value: 1, mode: add}', 'neither set nor append'),
    ('{field: a, value: 1, colour: red}', 'unknown argument: colour'),
    ('{field: a, value: 1, secret: maybe}', 'is not a boolean'),
    ('{field: a, value: "{{ \'x\' * 65535 }}"}', 'more than 65536'),
    ('{field: a, value: 99007199254740993}', 'beyond 2^53'),
    ('{field: a, value: .inf}', 'not a finite number'),
    ('{field: a, value: {1: b}}', 'is not a string'),
    ('{field: a, value: 2026-01-02}', 'a date cannot be sent'),
    (r'{field: a, value: "\0"}', 'NUL'),
])
def test_emit_refuses(root, attempt, args, why):
    run = attempt('ansible', play(root, '- aegir.hler.emit: ' + args)).run()
    assert run.code == 1
    assert why in run.message
    assert run.server.results == []


def test_emit_without_a_target(root, attempt):
    spec = play(root, '- aegir.hler.emit: {field: a, value: 1}')
    run = attempt('ansible', spec, target=None).run()
    assert run.code == 1 and 'the operation has no target' in run.message


def test_emit_refused_by_the_runner(root, attempt):
    run = attempt('ansible', play(root, '- aegir.hler.emit: {field: a, value: 1}'))
    run.server.refuse = 'journal full'
    run.run()
    assert run.code == 1 and 'refused: journal full' in run.message


def test_emit_in_check_mode(root, attempt):
    spec = play(root, '- ping:\n- aegir.hler.emit: {field: a, value: 1}')
    run = attempt('ansible', dict(spec, check=True)).run()
    assert run.code == 0, run.stderr
    assert run.server.results == [] and len(run.events('runner_skipped')) == 1


def test_emit_without_hler(root, tmp_path):
    play(root, '- aegir.hler.emit: {uuid: "%s", field: a, value: 1}' % TARGET)
    (tmp_path / 'c/ansible_collections').mkdir(parents=True)
    (tmp_path / 'c/ansible_collections/aegir').symlink_to(TOP / 'worker/executors/collection/aegir')
    out = subprocess.run(
        ['/usr/bin/ansible-playbook', '-i', 'localhost,', '-c', 'local', '-v', str(root / 'site.yml')],
        env={'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'LC_ALL': 'C.UTF-8',
             'ANSIBLE_COLLECTIONS_PATH': str(tmp_path / 'c')}, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert 'nothing was sent' in out.stdout


def test_many_hosts_emit_at_once(root, attempt):
    (root / 'hosts.ini').write_text('h[01:20] ansible_connection=local\n')
    spec = play(root, '- aegir.hler.emit: {field: seen, value: "{{ inventory_hostname }}", mode: append}')
    run = attempt('ansible', dict(spec, inventory='hosts.ini', forks=10)).run()
    assert run.code == 0, run.stderr
    assert sorted(r['value'] for r in run.server.results) == ['h%02d' % n for n in range(1, 21)]


def test_set_stats(root, attempt):
    run = attempt('ansible', play(root, '''
- set_stats: {data: {site_url: "http://x/", count: 3, "Not_A_Field": 1}}
- set_stats: {data: {site_url: "http://y/"}}
''')).run()
    assert run.code == 0, run.stderr
    assert run.outputs == {'site_url': 'http://y/', 'count': 3}
    assert [r['value'] for r in run.server.results if r['field'] == 'site_url'] == [
        'http://x/', 'http://y/']
    assert all(r['entity'] == TARGET and not r['secret'] for r in run.server.results)
    assert 'set_stats Not_A_Field is not sent' in run.stderr


def test_set_stats_of_two_hosts_is_not_joined(root, attempt):
    (root / 'hosts.ini').write_text('a ansible_connection=local\nb ansible_connection=local\n')
    spec = play(root, '- set_stats: {data: {url: "http://{{ inventory_hostname }}/"}}')
    run = attempt('ansible', dict(spec, inventory='hosts.ini', forks=1)).run()
    assert sorted(r['value'] for r in run.server.results) == ['http://a/', 'http://b/']
    assert run.outputs['url'] in ('http://a/', 'http://b/')


def test_set_stats_without_target_are_outputs_only(root, attempt):
    run = attempt('ansible', play(root, '- set_stats: {data: {n: 1}}'), target=None).run()
    assert run.code == 0 and run.outputs == {'n': 1} and run.server.results == []


def test_no_log(root, attempt):
    run = attempt('ansible', play(root, '''
- name: Use {{ pw }}
  command: echo {{ pw }}
  no_log: true
  vars: {pw: hush-hush}
- set_stats: {data: {password: hush-hush}}
  no_log: true
- name: Loop {{ item }}
  command: echo {{ item }}
  loop: [hush-hush]
  no_log: true
- name: Fail with {{ pw }}
  fail: {msg: "{{ pw }}"}
  no_log: true
  vars: {pw: hush-hush}
''')).run()
    assert run.code == 1
    sent = b''.join(r for r in run.server.raw if b'"kind"' in r)
    assert b'hush-hush' not in sent
    assert 'hush-hush' not in run.message
    assert run.outputs == {}
    assert run.server.results == [{'entity': TARGET, 'field': 'password', 'mode': 'set',
                                   'secret': True, 'value': 'hush-hush'}]


def test_events_are_bounded_and_clean(root, attempt):
    run = attempt('ansible', play(root, r'''
- command: python3 -c 'import sys; sys.stdout.buffer.write(b"\xff\xfe" + b"x" * 100000 + b"END")'
- debug: {msg: "{{ 'y' * 100000 }}"}
- command: "false"
  loop: [1, 2]
  ignore_errors: true
''')).run()
    assert run.code == 0, run.stderr
    big = run.events('runner_ok')[0]
    assert big['truncated'] is True and len(big['stdout']) <= 2048 and big['stdout'].endswith('END')
    assert len(run.events('item_failed')) == 2
    assert max(len(r) for r in run.server.raw) <= 16384
    assert all('invocation' not in p and 'ansible_facts' not in p for p in run.server.progress)


def test_runner_that_dies_does_not_stop_the_play(root, attempt):
    run = attempt('ansible', play(root, '- command: echo hello'),
                  env={'HLER_SOCKET': str(root / 'nothing')}).run()
    assert run.code == 0, run.stderr
    assert 'no more events' in run.stderr


@pytest.mark.parametrize('kind,name', [('module', 'aegir.hler.emit'), ('callback', 'aegir.hler.events')])
def test_documentation(kind, name, tmp_path):
    (tmp_path / 'ansible_collections').mkdir()
    (tmp_path / 'ansible_collections/aegir').symlink_to(TOP / 'worker/executors/collection/aegir')
    out = subprocess.run(['/usr/bin/ansible-doc', '-t', kind, name], capture_output=True, text=True,
                         env={'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'LC_ALL': 'C.UTF-8',
                              'ANSIBLE_COLLECTIONS_PATH': str(tmp_path)})
    assert out.returncode == 0, out.stderr
    assert name.split('.')[-1].upper() in out.stdout and 'WARNING' not in out.stderr
