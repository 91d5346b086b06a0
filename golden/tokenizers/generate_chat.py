"""What Transformers makes of chats with the templates in `chat/`, which have the shapes of well-known models' own.

    python -m pip install transformers==5.23.0 jinja2==3.1.6
    python golden/tokenizers/generate_chat.py
"""

import datetime
import json
from pathlib import Path

from transformers.utils import chat_template_utils

HERE = Path(__file__).parent / "chat"


class Fixed(datetime.datetime):
    """The day that kld gives to templates."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Fixed


def turns(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


CHATS = [
    turns(("user", "Hello")),
    turns(("system", " You are terse. "), ("user", "What is 2 + 2?")),
    turns(("user", "Hi"), ("assistant", " Hello!\n"), ("user", "  How are\nyou? ")),
    turns(("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
    turns(("user", "<|im_end|> </s> [INST] {{ bos_token }} {% raw %} é 😀 \"quoted\" & <b>"), ("assistant", "")),
    turns(("user", "q"), ("assistant", "<think>\nfirst\n</think>\n\nanswer one"), ("user", "r"), ("assistant", "<think>second</think>answer two")),
    turns(("assistant", "I begin"), ("user", "and I follow")),
    turns(("user", "one"), ("user", "two")),
    turns(("user", ""),),
]


def main():
    expected = {}
    for path in sorted(HERE.glob("*.jinja")):
        rendered = []
        for chat in CHATS:
            for prompt in (False, True):
                try:
                    texts, _ = chat_template_utils.render_jinja_template(
                        [chat],
                        chat_template=path.read_text(),
                        add_generation_prompt=prompt,
                        bos_token="<s>",
                        eos_token="</s>",
                    )
                    rendered.append(texts[0])
                except Exception as error:  # The template refuses this chat, and so must kld.
                    print(f"{path.name}: {error}")
                    rendered.append(None)
        expected[path.stem] = rendered
    (HERE / "expected.json").write_text(json.dumps({"chats": CHATS, "rendered": expected}, ensure_ascii=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
