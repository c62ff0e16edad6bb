"""The ansible and terraform executors, run as the worker runs them, with the real tools."""
import json
import os
import shutil
import signal
import socket
import subprocess

import pytest

from runner_double import BUILD, TARGET, TOP, Attempt

LOCAL = ['localhost']
OTHER = '0190a5c0-0000-7000-8000-0000000000ff'


@pytest.fixture
def root(tmp_path):
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def attempt(root):
    made = []

    def make(executor, spec, **more):
        made.append(Attempt(executor, spec, more.pop('roots', [root]), **more))
        return made[-1]
    yield make
    for one in made:
        one.close()


def play(root, tasks, hosts='all', name='site.yml'):
    """Write a playbook of these tasks (YAML text, not indented)."""
    body = '\n'.join('    ' + line for line in tasks.strip('\n').split('\n'))
    path = root / name
    path.write_text('- hosts: %s\n  gather_facts: false\n  tasks:\n%s\n' % (hosts, body))
    path.chmod(0o644)
    return {'playbook': name, 'inventory': LOCAL}


# -- describe and usage --------------------------------------------------------

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
    assert out.returncode == 64 and 'usage:' in out.stderr


# -- ansible: how it ends ------------------------------------------------------

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
    assert 'inventory none.ini: not found in any allowed root' in run.message


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


# -- ansible: what is refused --------------------------------------------------

def test_all_faults_of_a_specification(attempt):
    run = attempt('ansible', {'playbook': '/etc/x.yml', 'inventory': ['ok', '-x'], 'forks': 0,
                              'limit': '@/etc/passwd', 'tags': ['a', 7], 'become': True,
                              'check': 'yes'}).run()
    assert run.code == 78 and run.cause == 'spec_invalid'
    for fault in ('playbook: ', 'inventory[1]: ', 'forks: ', 'limit: ', 'tags[1]: ', 'check: ',
                  'become: unknown member'):
        assert fault in run.message, run.message


def refused(run, why):
    assert run.code == 78 and run.cause == 'not_allowed'
    assert why in run.message
    assert run.server.progress == []


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


# -- ansible: variables --------------------------------------------------------

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


@pytest.mark.parametrize('key', ['{{ 1 }}', '__ansible_unsafe', '__ansible_vault', 'a{% b'])
def test_keys_that_ansible_would_read(root, attempt, key):
    refused(attempt('ansible', play(root, '- ping:'), inputs={'x': {key: 'v'}}).run(), 'key ')


def test_environment_is_our_own(root, attempt):
    run = attempt('ansible', play(root, '- command: env'),
                  env={'SECRET_OF_THE_WORKER': 'x', 'ANSIBLE_STDOUT_CALLBACK': 'json'}).run()
    assert run.code == 0
    out = run.events('runner_ok')[0]['stdout'] + run.stdout
    assert 'SECRET_OF_THE_WORKER' not in out and 'ANSIBLE_STDOUT_CALLBACK' not in out
    assert not any(name.startswith('hler-') and os.path.isdir('/tmp/%s/socket' % name)
                   for name in os.listdir('/tmp'))


# -- emit ----------------------------------------------------------------------

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


# -- set_stats and secrets -----------------------------------------------------

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


# -- the collection ------------------------------------------------------------

@pytest.mark.parametrize('kind,name', [('module', 'aegir.hler.emit'), ('callback', 'aegir.hler.events')])
def test_documentation(kind, name, tmp_path):
    (tmp_path / 'ansible_collections').mkdir()
    (tmp_path / 'ansible_collections/aegir').symlink_to(TOP / 'worker/executors/collection/aegir')
    out = subprocess.run(['/usr/bin/ansible-doc', '-t', kind, name], capture_output=True, text=True,
                         env={'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'LC_ALL': 'C.UTF-8',
                              'ANSIBLE_COLLECTIONS_PATH': str(tmp_path)})
    assert out.returncode == 0, out.stderr
    assert name.split('.')[-1].upper() in out.stdout and 'WARNING' not in out.stderr


# -- terraform -----------------------------------------------------------------

terraform = pytest.mark.skipif(not shutil.which('terraform'), reason='terraform is not installed')


def module(root, text, name='net'):
    (root / name).mkdir(exist_ok=True)
    (root / name / 'main.tf').write_text(text)
    return {'dir': name}


SITE = '''
variable "domain" { type = string }
resource "terraform_data" "site" { input = var.domain }
output "url" { value = "http://${terraform_data.site.output}/" }
output "ports" { value = [80, 443] }
output "password" {
  value     = "hush-hush"
  sensitive = true
}
output "Odd-Name" { value = 1 }
'''


@terraform
def test_terraform_apply(root, attempt):
    run = attempt('terraform', module(root, SITE), inputs={'domain': 'a.test'}).run()
    assert run.code == 0, run.stdout + run.stderr
    assert run.server.broken == []
    assert run.outputs == {'url': 'http://a.test/', 'ports': [80, 443]}
    assert {(r['field'], r['secret']) for r in run.server.results} == {
        ('url', False), ('ports', False), ('password', True)}
    assert run.results['password'] == 'hush-hush'
    assert 'hush-hush' not in run.everything
    assert 'terraformrc' not in run.everything
    assert 'terraform_data.site: Creation complete' in run.stdout and '@message' not in run.stdout
    assert [(e['event'], e['resource'], e['action']) for e in run.server.progress] == [
        ('apply_start', 'terraform_data.site', 'create'),
        ('apply_complete', 'terraform_data.site', 'create')]
    assert sorted(p.name for p in (root / 'net').iterdir()) == ['main.tf']


@terraform
def test_terraform_state_belongs_to_the_target(root, attempt):
    spec = module(root, SITE)
    first = attempt('terraform', spec, inputs={'domain': 'a.test'}).run()
    assert first.code == 0, first.stderr
    keep = {'HLER_STATE': first.env['HLER_STATE']}
    again = attempt('terraform', spec, inputs={'domain': 'a.test'}, env=keep).run()
    assert again.code == 0 and 'Resources: 0 added' in again.stdout
    gone = attempt('terraform', dict(spec, destroy=True), inputs={'domain': 'a.test'}, env=keep).run()
    assert gone.code == 0 and '1 destroyed' in gone.stdout
    other = attempt('terraform', spec, inputs={'domain': 'a.test'}, env=keep, target=OTHER).run()
    assert other.code == 0 and 'Resources: 1 added' in other.stdout


@terraform
def test_terraform_inputs_are_data(root, attempt):
    spec = module(root, 'variable "x" {}\noutput "x" { value = var.x }')
    run = attempt('terraform', spec, inputs={'x': '${file("/etc/hostname")}'}).run()
    assert run.code == 0 and run.outputs == {'x': '${file("/etc/hostname")}'}


@terraform
def test_terraform_hler_variable_and_workspace(root, attempt):
    spec = module(root, 'variable "hler" { type = any }\noutput "x" { value = var.hler.outputs.a.b }\n'
                        'output "w" { value = terraform.workspace }')
    run = attempt('terraform', dict(spec, vars_from='hler', workspace='@target'),
                  outputs={'a': {'b': 7}}).run()
    assert run.code == 0, run.stderr
    assert run.outputs == {'x': 7, 'w': TARGET}


@terraform
def test_terraform_backend_of_the_module(root, attempt):
    state = root / 'own.tfstate'
    spec = module(root, 'terraform {\n  backend "local" { path = "%s" }\n}\n'
                        'resource "terraform_data" "x" {}\n' % state)
    run = attempt('terraform', spec, env={'HLER_STATE': ''}).run()
    assert run.code == 0, run.stderr
    assert json.loads(state.read_text())['resources'][0]['type'] == 'terraform_data'


@terraform
def test_terraform_without_a_place_for_the_state(root, attempt):
    run = attempt('terraform', module(root, SITE), env={'HLER_STATE': ''}).run()
    assert run.code == 78 and 'HLER_STATE is not set' in run.message


@terraform
def test_terraform_failure(root, attempt):
    spec = module(root, '''
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "echo deep trouble >&2; exit 3" }
}''')
    run = attempt('terraform', spec).run()
    assert run.code == 1 and run.message.startswith(
        'terraform: terraform apply, exit 1: local-exec provisioner error')
    assert [e['event'] for e in run.server.progress][-1] == 'apply_errored'


@terraform
def test_terraform_syntax_error(root, attempt):
    run = attempt('terraform', module(root, 'resource {')).run()
    assert run.code == 1 and 'terraform init, exit 1: ' in run.message
    assert 'see its output' not in run.message


@terraform
def test_terraform_missing_variable(root, attempt):
    run = attempt('terraform', module(root, SITE)).run()
    assert run.code == 1 and 'No value for required variable' in run.message


@terraform
def test_terraform_interrupt_saves_the_state(root, attempt):
    witness = root / 'started'
    spec = module(root, '''
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "touch %s; exec sleep 600" }
}''' % witness)
    run = attempt('terraform', spec).start()
    run.wait_for(witness.exists, 'local-exec')
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)  # ours to keep: a second one would abort
    run.finish(60)
    assert run.code == 1 and run.message.startswith('terraform: stopped'), run.stderr
    assert 'Two interrupts' not in run.everything and 'immediately' not in run.everything
    state = json.loads((root_state(run) / TARGET / 'net.tfstate').read_text())
    assert state['resources'][0]['instances'][0]['status'] == 'tainted'


def root_state(run):
    return type(run.top)(run.env['HLER_STATE']) / 'terraform'


@terraform
def test_terraform_locked_state_is_worth_another_try(root, attempt):
    started, release = root / 'started', root / 'release'
    spec = module(root, '''
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "touch %s; while [ ! -e %s ]; do sleep 0.1; done" }
}''' % (started, release))
    first = attempt('terraform', spec).start()
    first.wait_for(started.exists, 'local-exec')
    second = attempt('terraform', spec, env={'HLER_STATE': first.env['HLER_STATE']}).run()
    release.touch()
    first.finish()
    assert second.code == 75 and 'Error acquiring the state lock' in second.message
    assert first.code == 0, first.stderr


@pytest.mark.parametrize('spec,why', [
    ({'dir': '../x'}, 'dir: '), ({}, 'dir: missing'), ({'dir': 'a', 'binary': '/bin/sh'}, 'binary: '),
    ({'dir': 'a', 'vars_from': 'env'}, 'vars_from: '), ({'dir': 'a', 'args': []}, 'unknown member'),
    ({'dir': 'a', 'workspace': '-x'}, 'workspace: '), ({'dir': 'a', 'destroy': 1}, 'destroy: ')])
def test_terraform_specification(attempt, spec, why):
    run = attempt('terraform', spec).run()
    assert run.code == 78 and run.cause == 'spec_invalid' and why in run.message


def test_terraform_module_is_refused(root, attempt):
    (root / 'in').mkdir()
    module(root, SITE)
    (root / 'in/net').symlink_to(root / 'net')
    refused(attempt('terraform', {'dir': 'net'}, roots=[root / 'in']).run(), 'leads out of its root')
    refused(attempt('terraform', {'dir': 'none'}).run(), 'not found')
    (root / 'net/more.tf').touch()
    (root / 'net/more.tf').chmod(0o666)
    refused(attempt('terraform', {'dir': 'net'}).run(), 'can be changed by others')
