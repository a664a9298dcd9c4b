"""The firmware's own main() on the emulated part, watched at its board: `starting.count(DIRECTORY)` prints `boot ticks`
when the program says `ready` and `sign_running ticks` for signatures in its heap; `starting.watch(DIRECTORY, WARM_UP_S,
SAMPLES)` prints `live BYTES` once a second, and `garbage BYTES`: what has been allocated since the second before.

What this file itself holds is live too; whoever imports it says how much that is.
"""

import gc

import mps2

_IDLE_US = 5000  # a wait that is longer: nothing is being sent, signed or written


def count(directory):
    """From the import of main.py to `ready`; a tick is 40 instructions with `-icount shift=0`."""
    mps2.start()
    start = mps2.cycles()
    import main
    import signing

    import acq.soft_signer
    from boards.cortex_mps2 import MpsBoard

    made = []

    class KeptSigner(acq.soft_signer.SoftSigner):
        def __init__(self, secret):
            super().__init__(secret)
            made.append(self)

    class CountedBoard(MpsBoard):
        def say(self, line):
            print("boot", mps2.cycles() - start)

        def wait(self, timeout_us):
            print("sign_running", signing.count(made[0], 5)[0])
            raise KeyboardInterrupt

    acq.soft_signer.SoftSigner = KeptSigner

    main.open_board = lambda arguments: CountedBoard(arguments[1])
    run(main, directory)


def watch(directory, warm_up_s, samples):
    """Bytes alive after collection, in moments in which the program has nothing to do."""
    import main

    from boards.cortex_mps2 import MpsBoard

    class WatchedBoard(MpsBoard):
        def say(self, line):
            super().say(line)
            self.due = self.clock.ticks()
            self.seconds = -warm_up_s
            self.live = 0

        def wait(self, timeout_us):
            if timeout_us >= _IDLE_US and self.clock.elapsed(self.clock.ticks(), self.due) >= 1000000:
                self.due = self.clock.ticks()
                self.seconds += 1
                if self.seconds >= 0:
                    garbage = gc.mem_alloc() - self.live
                    gc.collect()
                    self.live = gc.mem_alloc()
                if self.seconds > 0:
                    print("live", self.live)
                    print("garbage", garbage)
                    if self.seconds == samples:
                        raise KeyboardInterrupt
            super().wait(timeout_us)

    main.open_board = lambda arguments: WatchedBoard(arguments[1])
    run(main, directory)


def run(main, directory):
    try:
        main.main(("main.py", directory))
    except KeyboardInterrupt:
        pass  # seen enough
