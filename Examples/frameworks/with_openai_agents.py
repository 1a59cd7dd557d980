"""Tools of the OpenAI Agents SDK that ask the broker before they do anything.

    python3 -m venv venv && venv/bin/pip install openai-agents && cp ../../Clients/python/agt.py .
    agt-run --ring 3 --policy policy.yaml -- venv/bin/python with_openai_agents.py

The model is a class of this file that says what it was told to: nothing here needs a network or a key.
"""

import asyncio
import json
import os
import sys
from typing import Any, List

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agents import Agent, Model, ModelResponse, RunContextWrapper, Runner, Usage, function_tool, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

import agt


def told(context: RunContextWrapper[Any], error: Exception) -> str:
    """What the model hears of a tool that failed. Anything but a denial is a mistake of ours."""
    if isinstance(error, agt.GovernanceDenied):
        return f"{type(error).__name__}: {error}"
    raise error


# govern comes below function_tool: what the SDK gets is the governed function, with its name, types and text.
@function_tool(failure_error_function=told)
@agt.govern
def look_up(name: str) -> str:
    """Looks a number up."""
    return {"rooms": "12", "salaries": "99"}[name]


@function_tool(failure_error_function=told)
@agt.govern
async def send_mail(to: str, text: str) -> str:
    """Sends a mail."""
    return f"sent to {to}"


class Script(Model):
    """Calls the tools that it was told to, one after the other, and then says something."""

    def __init__(self, *calls: Any) -> None:
        self.calls: List[Any] = list(calls)

    async def get_response(self, *args: Any, **keywords: Any) -> ModelResponse:
        if self.calls:
            name, arguments = self.calls.pop(0)
            output: Any = ResponseFunctionToolCall(
                id="1", call_id=f"call-{len(self.calls)}", type="function_call", name=name, arguments=json.dumps(arguments))
        else:
            text = ResponseOutputText(text="That is all.", type="output_text", annotations=[])
            output = ResponseOutputMessage(id="1", type="message", role="assistant", content=[text], status="completed")
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **keywords: Any) -> Any:
        raise NotImplementedError("this model does not stream")


async def main() -> None:
    set_tracing_disabled(True)
    model = Script(
        ("look_up", {"name": "rooms"}), ("look_up", {"name": "salaries"}),
        ("send_mail", {"to": "a@example.org", "text": "hi"}))
    agent = Agent(name="clerk", instructions="Help.", tools=[look_up, send_mail], model=model)
    result = await Runner.run(agent, "How many rooms are there?")
    names = {}
    for item in result.new_items:
        if item.type == "tool_call_item":
            names[item.raw_item.call_id] = item.raw_item.name
        if item.type == "tool_call_output_item":
            print(f"{names[item.raw_item['call_id']]}: {item.output}")
    print("model:", result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
