"""What holds for all tests."""

import gevent.monkey
from hypothesis import HealthCheck, settings

# pyinfra's command line makes gevent replace threads and sockets when it is imported; pytest and its workers need the
# real ones, so in the tests' own process it does not. Children that run pyinfra are as they always are.
gevent.monkey.patch_all = lambda **options: True

# No test asserts on time: on a busy machine any of them may take its time.
settings.register_profile("home", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("home")
