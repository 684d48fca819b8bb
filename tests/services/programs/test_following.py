"""Following what serves connections."""

import asyncio

from qubes_manager.services.programs.following import Following
from tests.waiting import until


async def test_each_connection_that_is_wanted_is_followed_once_until_all_ends() -> None:
    begun, ended = list[str](), list[str]()

    async def follow(uri: str) -> None:
        begun.append(uri)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(uri)

    following = Following(follow)
    following.want("a:")
    running = asyncio.create_task(following.run())
    await until(lambda: begun)
    following.want("a:")
    following.want("b:")
    await until(lambda: len(begun) == 2)
    assert begun == ["a:", "b:"]
    running.cancel()
    await asyncio.wait({running})
    assert sorted(ended) == begun
