"""Locks between programs, and between the threads of one."""

import gc
import uuid

from qubes_manager.backend.user.byte_lock import ByteLock


def test_a_lock_that_got_lost_is_nobodys() -> None:
    # Who waited in another thread for it was cancelled.
    name = str(uuid.uuid4())
    assert ByteLock(name).try_hold()
    gc.collect()
    lock = ByteLock(name)
    assert lock.try_hold()
    lock.close()
    lock.close()
