"""Tools of LangChain that ask the broker before they do anything.

    python3 -m venv venv && venv/bin/pip install langchain-core && cp ../../Clients/python/agt.py .
    agt-run --ring 3 --policy policy.yaml -- venv/bin/python with_langchain.py

The model is one of LangChain's own for tests, which says what it was told to: nothing here needs a network.
"""

import os
import sys
from typing import List

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

import agt


# govern comes below tool: what LangChain gets is the governed function, with its name, types and text.
@tool
@agt.govern
def look_up(name: str) -> str:
    """Looks a number up."""
    return {"rooms": "12", "salaries": "99"}[name]


@tool
@agt.govern
async def send_mail(to: str, text: str) -> str:
    """Sends a mail."""
    return f"sent to {to}"


TOOLS = {"look_up": look_up, "send_mail": send_mail}


def call(number: int, wanted: str, /, **args: str) -> AIMessage:
    return AIMessage(content="", tool_calls=[{"name": wanted, "args": args, "id": f"call-{number}"}])


async def main() -> None:
    model = GenericFakeChatModel(messages=iter([
        call(1, "look_up", name="rooms"), call(2, "look_up", name="salaries"),
        call(3, "send_mail", to="a@example.org", text="hi"), AIMessage(content="That is all."),
    ]))
    messages: List[object] = [HumanMessage(content="How many rooms are there?")]
    while True:
        answer = await model.ainvoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            print("model:", answer.content)
            return
        for wanted in answer.tool_calls:
            try:
                said = (await TOOLS[wanted["name"]].ainvoke(wanted)).content
            except agt.GovernanceDenied as error:
                # The model is told, and can do something else.
                said = f"{type(error).__name__}: {error}"
            print(f"{wanted['name']}: {said}")
            messages.append(ToolMessage(content=said, tool_call_id=wanted["id"]))


if __name__ == "__main__":
    import asyncio

    asyncio.run(main())
