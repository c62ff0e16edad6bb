"""RabbitMQ's own view of things.  erl_call starts in milliseconds; rabbitmqctl brings up a whole Erlang system, seconds of a
busy machine."""
import os
import pathlib
import subprocess

TIMEOUT_S = 60
# All but those of the tests, which are pika's.
PROGRAMS = """length([P || [{client_properties, P}] <- rabbit_networking:connection_info_all([client_properties]),
                    lists:keyfind(<<"product">>, 1, P) =/= {<<"product">>, longstr, <<"Pika Python Client Library">>}])"""


def evaluate(directory, expression):
    """What the node of the stack in `directory` makes of an Erlang expression, as text: "{ok, ...}" when all is well."""
    environ = dict(os.environ, ERL_EPMD_PORT=pathlib.Path(directory, "run/ports").read_text("utf-8").split()[4])
    cookie = pathlib.Path(directory, "rabbitmq/home/.erlang.cookie").read_text("utf-8")
    done = subprocess.run(["erl_call", "-c", cookie, "-name", "hler@localhost", "-e"], input=f"{expression}.\n", env=environ,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False)
    return done.stdout


def programs_are_gone(directory):
    """No connection of a dispatcher or worker is left: one that was killed goes on for as long as there is something
    of it to be read."""
    return evaluate(directory, PROGRAMS).strip() == "{ok, 0}"
