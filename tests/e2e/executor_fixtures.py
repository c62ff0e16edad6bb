"""Fixtures and helpers of the executors' tests; `root` is the one allow-listed directory."""
import pytest

from runner_double import Attempt

LOCAL = ['localhost']
OTHER = '0190a5c0-0000-7000-8000-0000000000ff'


@pytest.fixture(name='root')
def root_fixture(tmp_path):
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture(name='attempt')
def attempt_fixture(root):
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


def module(root, text, name='net'):
    (root / name).mkdir(exist_ok=True)
    (root / name / 'main.tf').write_text(text)
    return {'dir': name}


def refused(run, why):
    assert run.code == 78 and run.cause == 'not_allowed'
    assert why in run.message
    assert run.server.progress == []
