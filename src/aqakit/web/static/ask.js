// Requests to the API, with the token if there is one; errors become sentences.

import { $ } from "./answer.js";
import { read } from "./storage.js";

export const TOKEN = "aqakit-token";

export const headers = () => {
  const token = read("sessionStorage", TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
};

export async function ask(path, method = "GET", more = {}) {
  const response = await fetch(path, { method, ...more, headers: { ...headers(), ...more.headers } });
  if (!response.ok) throw refusal(response.status, await response.text());
  return response;
}

// of what few may do at the same time: wait until it is this one's turn
export async function askInTurn(path, tries = 8) {
  for (;;) {
    try {
      return await ask(path);
    } catch (error) {
      if (error.status !== 503 || --tries === 0) throw error;
      await new Promise((later) => setTimeout(later, 2000));
    }
  }
}

export const send = (path, method, body) =>
  ask(path, method, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

export function refusal(status, text) {
  $("token-field").hidden = status !== 401 && !read("sessionStorage", TOKEN);
  let detail;
  try {
    detail = JSON.parse(text).detail;
  } catch { /* not from our server: a proxy's page */ }
  if (Array.isArray(detail)) detail = detail.map((one) => `${one.loc?.at(-1) ?? ""}: ${one.msg}`).join("; ");
  const error = new Error(detail || `the server answered ${status || "nothing; is it still running?"}`);
  error.status = status;
  return error;
}
