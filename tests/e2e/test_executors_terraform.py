"""The terraform executor with the real tool."""
import json
import shutil
import signal

import pytest

from executor_fixtures import (  # noqa: F401 pylint: disable=unused-import
    attempt_fixture, module, OTHER, refused, root_fixture)
from runner_double import TARGET


terraform = pytest.mark.skipif(not shutil.which('terraform'), reason='terraform is not installed')


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
def test_terraform_output_that_cannot_be_sent(root, attempt):
    run = attempt('terraform', module(root, 'output "big" { value = 99007199254740993 }')).run()
    assert run.code == 1 and 'applied, but an output is not JSON' in run.message
    long = 'output "big" { value = [for i in range(1000) : "%s"] }' % ('x' * 70)
    run = attempt('terraform', module(root, long)).run()
    assert run.code == 1 and 'applied, but output big: value is too long' in run.message


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


FAKE = '''#!/bin/sh
case $2 in init) exit 0;; esac
trap 'echo int >>%(dir)s/signals' INT
touch %(dir)s/started
while [ ! -e %(dir)s/release ]; do sleep 0.1; done
exit 1
'''


def test_terraform_gets_one_interrupt_only(root, attempt):
    (root / 'bin').mkdir()
    (root / 'bin/terraform').write_text(FAKE % {'dir': root})
    (root / 'bin/terraform').chmod(0o755)
    run = attempt('terraform', module(root, ''), env={'PATH': '%s/bin:/usr/bin:/bin' % root}).start()
    run.wait_for((root / 'started').exists, 'apply')
    run.process.send_signal(signal.SIGINT)
    run.wait_for((root / 'signals').exists, 'signal')
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGTERM)
    (root / 'release').touch()
    run.finish(30)
    assert run.code == 1 and (root / 'signals').read_text() == 'int\n'
