"""The vendor's Python client against the Retell simulator; prints its results as JSON."""
import json
import os

import retell
from retell import Retell
from retell.lib.webhook_auth import symmetric

env = os.environ
client = Retell(api_key=env["SIM_KEY"], base_url=env["SIM_URL"], max_retries=0)


def strictly(answer):
    """Builds the answer's own model again, this time refusing what does not fit it."""
    type(answer).model_validate(json.loads(answer.to_json()))
    return answer


def create(**more):
    return strictly(client.call.create_phone_call(
        from_number=env["FROM"], to_number=env["TO"], retell_llm_dynamic_variables={"a": "b"}, **more))


def status_of(ask):
    try:
        ask()
    except retell.APIStatusError as error:
        return error.status_code
    return 200


voice = {"channel": {"type": "string", "op": "eq", "value": "voice"}}
agents = strictly(client.agent.list(filter_criteria=voice, limit=10)).items
told = {
    "agents": [a.agent_id for a in agents],
    "agent_timezone": client.agent.retrieve(agents[0].agent_id).timezone,
    "first": create().call_id,
    "second": create().call_id,
}
keyed = {"idempotency_key": "dp_sdk", "metadata": {"redialer_dispatch": "dp_sdk"}, "honor_internal_dnc": True,
         "override_agent_id": agents[0].agent_id, "override_agent_version": "prod"}
told["keyed"] = create(**keyed).call_id
told["keyed_again"] = create(**keyed).call_id
by_metadata = {"metadata": [{"type": "string", "op": "eq", "key": "redialer_dispatch", "value": "dp_sdk"}]}
told["listed"] = [c.call_id for c in strictly(client.call.list(filter_criteria=by_metadata)).items]
told["got_metadata"] = strictly(client.call.retrieve(told["keyed"])).metadata
told["chat"] = strictly(client.chat.create_sms_chat(
    from_number=env["FROM"], to_number=env["TO"], metadata={"redialer_dispatch": "dp_chat"})).chat_id
by_number = {"user_number": {"type": "string", "op": "eq", "value": env["TO"]}}
told["chats"] = [c.chat_id for c in strictly(client.chat.list(filter_criteria=by_number)).items]
told["concurrency_limit"] = strictly(client.concurrency.retrieve()).concurrency_limit
told["numbers"] = [n.phone_number for n in strictly(client.phone_number.list()).items]
told["unknown_status"] = status_of(lambda: client.call.retrieve("call_unknown"))
told["bad_key_status"] = status_of(lambda: Retell(api_key="x", base_url=env["SIM_URL"], max_retries=0).concurrency.retrieve())
told["signature"] = symmetric["sign"](env["SIGN_BODY"], env["SIM_KEY"], int(env["SIGN_STAMP"]))
body, signature = env["CAPTURED_BODY"], env["CAPTURED_SIGNATURE"]
then = {"timestamp": int(signature[2:].split(",")[0])}
told["captured_verified"] = symmetric["verify"](body, env["SIM_KEY"], signature, then)
told["tampered_verified"] = symmetric["verify"](body + " ", env["SIM_KEY"], signature, then)
print(json.dumps(told))
