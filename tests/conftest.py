"""What holds for every test."""

import signal

# A shell without job control starts background commands with SIGINT ignored, and what they start inherits that; then
# neither a round nor Prefect's worker, which ends by sending itself SIGINT, could be interrupted by a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
