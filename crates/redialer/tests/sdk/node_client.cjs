// The vendor's JavaScript client against the Retell simulator; prints its results as JSON.
const { Retell } = require('retell-sdk');
const { symmetric } = require('retell-sdk/lib/webhook_auth.js');

const env = process.env;
const clientWith = (apiKey) => new Retell({ apiKey, baseURL: env.SIM_URL, maxRetries: 0 });
const client = clientWith(env.SIM_KEY);

const create = (more) =>
  client.call.createPhoneCall({
    from_number: env.FROM, to_number: env.TO, retell_llm_dynamic_variables: { a: 'b' }, ...more,
  });

const statusOf = async (ask) => {
  try {
    await ask();
    return 200;
  } catch (error) {
    return error.status;
  }
};

(async () => {
  const told = {};
  const voice = { channel: { type: 'string', op: 'eq', value: 'voice' } };
  const agents = (await client.agent.list({ filter_criteria: voice, limit: 10 })).items;
  told.agents = agents.map((a) => a.agent_id);
  told.agent_timezone = (await client.agent.retrieve(agents[0].agent_id)).timezone;
  told.first = (await create()).call_id;
  told.second = (await create()).call_id;
  const keyed = {
    idempotency_key: 'dp_sdk', metadata: { redialer_dispatch: 'dp_sdk' }, honor_internal_dnc: true,
    override_agent_id: agents[0].agent_id, override_agent_version: 'prod',
  };
  told.keyed = (await create(keyed)).call_id;
  told.keyed_again = (await create(keyed)).call_id;
  const byMetadata = { metadata: [{ type: 'string', op: 'eq', key: 'redialer_dispatch', value: 'dp_sdk' }] };
  told.listed = (await client.call.list({ filter_criteria: byMetadata })).items.map((c) => c.call_id);
  told.got_metadata = (await client.call.retrieve(told.keyed)).metadata;
  told.chat = (await client.chat.createSMSChat({
    from_number: env.FROM, to_number: env.TO, metadata: { redialer_dispatch: 'dp_chat' },
  })).chat_id;
  const byNumber = { user_number: { type: 'string', op: 'eq', value: env.TO } };
  told.chats = (await client.chat.list({ filter_criteria: byNumber })).items.map((c) => c.chat_id);
  told.concurrency_limit = (await client.concurrency.retrieve()).concurrency_limit;
  told.numbers = (await client.phoneNumber.list()).items.map((n) => n.phone_number);
  told.unknown_status = await statusOf(() => client.call.retrieve('call_unknown'));
  told.bad_key_status = await statusOf(() => clientWith('x').concurrency.retrieve());
  told.signature = await symmetric.sign(env.SIGN_BODY, env.SIM_KEY, Number(env.SIGN_STAMP));
  const [body, signature] = [env.CAPTURED_BODY, env.CAPTURED_SIGNATURE];
  const then = { timestamp: Number(/^v=(\d+)/.exec(signature)[1]) };
  told.captured_verified = await symmetric.verify(body, env.SIM_KEY, signature, then);
  told.tampered_verified = await symmetric.verify(`${body} `, env.SIM_KEY, signature, then);
  console.log(JSON.stringify(told));
})();
