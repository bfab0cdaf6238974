"""Trouble of all kinds at once: by fal's ledger nothing is paid twice, lost, broken or stuck.

``killed_at_length.py --mixed`` beside this file goes on for as long as one likes.
"""

from pathlib import Path

import pytest

from support.campaign import Campaign, Kind
from support.forked import Zygote
from support.virtual import seeds

KILLS = 8


@pytest.mark.parametrize("seed", seeds(len(Kind)))
def test_whatever_goes_wrong_at_once_each_clip_is_paid_once_and_comes_home(
    tmp_path: Path, zygote: Zygote, seed: int
) -> None:
    with Campaign(tmp_path, zygote=zygote, seed=seed) as campaign:
        try:
            campaign.play(KILLS)
            campaign.heal()
            found = campaign.judge()
            assert found.wrong == []
        except BaseException as error:
            error.add_note(f"replay it with TWEENBATCH_TEST_SEED={seed}")
            error.add_note("\n".join(campaign.log[-20:]))
            raise
