"""What holds for all tests."""

import gc

import gevent.monkey
from hypothesis import HealthCheck, settings

# pyinfra's command line makes gevent replace threads and sockets when it is imported; pytest and its workers need the
# real ones, so in the tests' own process it does not. Children that run pyinfra are as they always are.
gevent.monkey.patch_all = lambda **options: True

# No test asserts on time: on a busy machine any of them may take its time.
settings.register_profile("home", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Drawn anew in each run, so that those of many runs add up.
settings.register_profile("check", settings.get_profile("home"), max_examples=25)
settings.load_profile("home")

# Modules and tests stay to the end: while they are loaded there is nothing to collect, and afterwards no collection
# has to walk through them, which took a tenth of all the CPU.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
