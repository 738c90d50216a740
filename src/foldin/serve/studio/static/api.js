// Calls of the service. An error is thrown as one line, as the service says it.

let key = sessionStorage.getItem("foldin-key") || "";

export function useKey(value) {
  key = value;
  sessionStorage.setItem("foldin-key", value);
}

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// A missing key, a wrong one, and one without the scope: the service gives the reason of the last two.
function refuse(status, error) {
  if (status !== 401 && !(status === 403 && key)) return;
  document.dispatchEvent(new CustomEvent("foldin-key-needed", { detail: key ? error : "This service needs a key." }));
}

async function call(method, path, body, signal) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the service cannot be reached");
  }
  const content = await response.json().catch(() => ({ error: `answer ${response.status} cannot be read` }));
  if (!response.ok) {
    const error = content.error || `answer ${response.status}`;
    refuse(response.status, error);
    throw new ApiError(response.status, error);
  }
  return content;
}

export const get = (path, signal) => call("GET", path, undefined, signal);
export const post = (path, body, signal) => call("POST", path, body, signal);
export const segment = (text) => encodeURIComponent(text);
