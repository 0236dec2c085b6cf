"""The fixed words of a model card."""

from typing import Final

HEAD: Final = """# {name}

Emotion and polarity of social posts, English and Chinese, from {reads}.
One checkpoint of {millions:.1f} million parameters:
{parts}.

- Out: seven emotions, each with a probability of its own (several may hold); polarity
  (negative, neutral, positive); abstention; how far the modalities disagree.
- Reads at most {limits}.
- Made by `weathervane train` from the recipe of the same name; described on {day}.
"""
USE: Final = {
    "research": """## Use

**For research.** Some of the sets below allow research or non-commercial use only, and weights
trained on them inherit the doubt: do not use this release commercially without advice.
""",
    "commercial": """## Use

Every set below, and the starting checkpoint, is under Apache-2.0, MIT, BSD, CC0 or CC BY: the
release may be used commercially. CC BY asks to name its sources; this card does.
""",
}
SPEECH: Final = """- Speech was learnt from fewer than a thousand acted clips of North American
  actors who speak two fixed English sentences. Spontaneous speech, other languages and other
  microphones are untested.
"""
PICTURES: Final = """- Faces were learnt from tight grey crops. A face that is a small part of a
  picture is mostly seen as scenery.
"""
SEVERAL: Final = """- No corpus here has text, picture and sound of one post. How three meet was
  learnt on composites (parts of different posts with the same label): read the numbers for several
  modalities as a check of the mechanics. Tweets with pictures (MVSA) are real.
"""
ALWAYS: Final = """- Chinese disgust is rare in the data and often read as anger. Sarcasm is often
  taken at its word.
- Labels are what annotators perceive, not what the writer feels. Do not judge a person by them.
"""
