// A client generated from the OpenAPI document, against a running server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Callback = components["schemas"]["Callback"];
type ApiError = components["schemas"]["Error"];

function env(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
}

const agent_id = env("REDIALER_AGENT");
const api = createClient<paths>({
  baseUrl: env("REDIALER_URL"),
  headers: { Authorization: `Bearer ${env("REDIALER_KEY")}` },
});

/** What was answered, which must be a success with a body of the declared type. */
function answered<T>(result: { data?: T; error?: ApiError; response: Response }, status = 200): T {
  assert.equal(result.response.status, status, JSON.stringify(result.error));
  assert.ok(result.data !== undefined);
  return result.data;
}

/** What was refused, in the envelope that every error has. */
function refused(
  result: { data?: unknown; error?: ApiError; response: Response },
  status: number,
): ApiError["error"] {
  assert.equal(result.response.status, status, JSON.stringify(result.data ?? result.error));
  assert.ok(result.error !== undefined);
  const { type, code, message, param, request_id, ...rest } = result.error.error;
  assert.deepEqual(rest, {});
  for (const text of [type, code, message, request_id]) assert.ok(typeof text === "string" && text !== "");
  assert.ok(param === null || typeof param === "string");
  assert.equal(request_id, result.response.headers.get("x-request-id"));
  return result.error.error;
}

// Five are made, each under its own key; the first one twice.
const at = new Date(Date.now() + 200 * 86_400_000).toISOString();
const create = (n: number, key: string, when = at) =>
  api.POST("/v1/callbacks", {
    params: { header: { "Idempotency-Key": key } },
    body: { agent_id, to_number: `+1312555014${n}`, at: when, dynamic_variables: { n: String(n) } },
  });
const keys = Array.from({ length: 5 }, () => randomUUID());
const made: Callback[] = [];
for (const [n, key] of keys.entries()) {
  const callback = answered(await create(n, key), 201);
  assert.deepEqual([callback.state, callback.agent_id, callback.attempt], ["scheduled", agent_id, 1]);
  assert.equal(Date.parse(callback.scheduled_for), Date.parse(at));
  made.push(callback);
}
const [first, second] = made;
const [key] = keys;
assert.ok(first && second && key);
const again = await create(0, key);
assert.equal(answered(again, 201).id, first.id, "the same request under the same key");
assert.equal(again.response.headers.get("idempotent-replayed"), "true");
const other = refused(await create(0, key, new Date(Date.parse(at) + 1000).toISOString()), 422);
assert.equal(other.param, "Idempotency-Key");

// Pages: each callback once, newest first.
const seen: Callback[] = [];
let cursor: string | null = null;
do {
  const query: { agent_id: string; limit: number; cursor?: string } = { agent_id, limit: 2 };
  if (cursor !== null) query.cursor = cursor;
  const page: components["schemas"]["CallbackPage"] = answered(
    await api.GET("/v1/callbacks", { params: { query } }),
  );
  assert.ok(page.data.length <= 2);
  seen.push(...page.data);
  cursor = page.next_cursor;
} while (cursor !== null);
assert.equal(new Set(seen.map((c) => c.id)).size, seen.length, "none twice");
assert.deepEqual(seen.slice(0, 5).map((c) => c.id), made.map((c) => c.id).reverse(), "newest first");

// One is forced, and goes on.
const path = (id: string) => ({ params: { path: { id } } });
const forced = answered(await api.POST("/v1/callbacks/{id}/force", path(first.id)));
assert.equal(forced.id, first.id);
assert.ok(Date.parse(forced.scheduled_for) < Date.parse(at));
let state: Callback["state"] = forced.state;
for (let n = 0; n < 200 && state === "scheduled"; n++) {
  await sleep(50);
  state = answered(await api.GET("/v1/callbacks/{id}", path(first.id))).state;
}
assert.ok(["dispatching", "dialing", "completed"].includes(state), `forced, and now ${state}`);

// One is cancelled, once.
const cancelled = answered(await api.POST("/v1/callbacks/{id}/cancel", path(second.id)));
assert.deepEqual([cancelled.id, cancelled.state], [second.id, "canceled"]);
const twice = refused(await api.POST("/v1/callbacks/{id}/cancel", path(second.id)), 409);
assert.deepEqual([twice.type, twice.code, twice.param], ["conflict_error", "final", null]);

// What is not there; and the workspace it all is in.
const absent = refused(await api.GET("/v1/callbacks/{id}", path(`cb_${"0".repeat(26)}`)), 404);
assert.deepEqual([absent.type, absent.code, absent.param], ["not_found_error", "not_found", null]);
const query = { workspace_id: first.workspace_id };
const workspace = answered(await api.GET("/v1/workspace", { params: { query } }));
assert.deepEqual([workspace.id, workspace.provider], [first.workspace_id, "retell"]);
assert.ok(workspace.defaults.max_attempts >= 1);
assert.equal(workspace.retention.days, -1, "nothing is taken away yet");
assert.equal(workspace.defaults.retry_triggers.busy.enabled, true);
console.log(JSON.stringify({ forced: state, listed: seen.length }));
