// Talks to gradio: uploads, calls through its queue with progress and cancel, files and the editor's own routes.
let base = '/';
export const setBase = (address) => { base = address; };
export const fileUrl = (path) => `${base}gradio_api/file=${path.split('/').map(encodeURIComponent).join('/')}`;
export const routeUrl = (name, values) => `${base}limpid/${name}?${new URLSearchParams(values)}`;
export const asFile = (path, name) => path && {path, orig_name: name, meta: {_type: 'gradio.FileData'}};
const session = () => Math.random().toString(36).slice(2, 14);
export const ownSession = session();

export class Offline extends Error {}  // the server does not answer
const reach = (...what) => fetch(...what).catch(() => { throw new Offline(); });

export async function ask(name, values) {
  return answered(await reach(routeUrl(name, values)));
}

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail || body.error || `${response.status} ${response.statusText}`);
  return body;
}

// Upload a Blob; returns its path on the server. `report` gets the share that is sent; `abort` is an AbortSignal.
export function upload(blob, name, report = () => {}, abort = null) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append('files', blob, name);
    request.open('POST', `${base}gradio_api/upload`);
    request.upload.onprogress = (event) => event.lengthComputable && report(event.loaded / event.total);
    request.onerror = () => fail(new Offline());
    request.onabort = () => fail(new DOMException('', 'AbortError'));
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* told below */ }
      if (request.status === 200 && body[0]) done(body[0]);
      else fail(new Error(body.detail || body.error || `${request.status} ${request.statusText}`));
    };
    abort?.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}

// Call an event or endpoint by its name; returns its outputs. `report` gets {fraction, text}.
// With `abort`, an AbortSignal, the call leaves the queue or stops. `own`: in the session that counts as this page's.
export async function call(name, data, {report = () => {}, abort = null, own = false} = {}) {
  const event = window.gradio_config.dependencies.find((one) => one.api_name === name);
  const session_hash = own ? ownSession : session();
  const headers = {'Content-Type': 'application/json', ...(await gpuHeaders(event))};
  const body = {data, fn_index: event.id, session_hash};
  const join = await reach(`${base}gradio_api/queue/join`, {method: 'POST', headers, body: JSON.stringify(body)});
  const {event_id} = await answered(join);
  return new Promise((done, fail) => {
    const stream = new EventSource(`${base}gradio_api/queue/data?session_hash=${session_hash}`);
    const end = (how, value) => { stream.close(); how(value); };
    abort?.addEventListener('abort', async () => {
      const cancel = {session_hash, fn_index: event.id, event_id};
      await fetch(`${base}gradio_api/cancel`, {method: 'POST', headers, body: JSON.stringify(cancel)}).catch(() => {});
      end(fail, new DOMException('', 'AbortError'));
    });
    stream.onerror = () => end(fail, new Offline());
    stream.onmessage = ({data: text}) => {
      const message = JSON.parse(text);
      if (message.event_id && message.event_id !== event_id) return;
      if (message.msg === 'progress') {
        const unit = message.progress_data?.at(-1);
        if (unit) report({fraction: unit.progress ?? 0, text: unit.desc || ''});
      } else if (message.msg === 'process_completed') {
        if (message.success && message.output?.data) end(done, message.output.data);
        else if (message.success) end(fail, new DOMException('', 'AbortError'));  // cancelled
        else end(fail, new Error(message.output?.error || 'The server could not do this.'));
      } else if (message.msg === 'unexpected_error' || message.msg === 'server_stopped') {
        end(fail, new Error(message.message || 'The server has stopped.'));
      }
    };
  });
}

// On ZeroGPU the page around this one knows who pays for the GPU's time; gradio's own client asks it likewise.
async function gpuHeaders(event) {
  if (window === window.parent || !window.supports_zerogpu_headers || !event.zerogpu) return {};
  return new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = ({data}) => { channel.port1.close(); done(data || {}); };
    window.parent.postMessage('zerogpu-headers', 'https://huggingface.co', [channel.port2]);
  });
}
