import HTTPTypes
import Hummingbird
import NIOCore

/// The page at `/`: a conversation in a browser, without anything from elsewhere.
enum Page {
    static var response: Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/html; charset=utf-8",
                .contentSecurityPolicy:
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
            ],
            body: .init(byteBuffer: ByteBuffer(string: html)))
    }

    private static let html = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Tessera</title>
        <style>
        :root { color-scheme: light dark; --line: #8886; --mine: #2a6df41c; }
        * { box-sizing: border-box; }
        body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 46rem; height: 100dvh;
          display: flex; flex-direction: column; padding: 0 .8rem; }
        header { display: flex; align-items: baseline; gap: .8rem; padding: .6rem 0; border-bottom: 1px solid var(--line); }
        h1 { font-size: 1.1rem; margin: 0; }
        #model { opacity: .7; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; flex: 1; }
        #talk { flex: 1; overflow-y: auto; padding: .6rem 0; }
        .message { white-space: pre-wrap; overflow-wrap: anywhere; padding: .5rem .7rem; margin: .4rem 0; border-radius: .6rem; }
        .user { background: var(--mine); margin-left: 12%; }
        .error { color: #c33; }
        .facts { font-size: .8rem; opacity: .7; margin: 0 .7rem; }
        form { display: flex; gap: .5rem; padding: .6rem 0; }
        textarea { flex: 1; font: inherit; padding: .5rem; border: 1px solid var(--line); border-radius: .5rem; resize: none;
          background: transparent; color: inherit; }
        button { font: inherit; padding: .4rem .9rem; border: 1px solid var(--line); border-radius: .5rem; background: transparent;
          color: inherit; cursor: pointer; }
        details { font-size: .9rem; padding-bottom: .6rem; }
        label { display: flex; gap: .5rem; align-items: center; margin: .3rem 0; }
        label input { flex: 1; font: inherit; background: transparent; color: inherit; border: 1px solid var(--line); border-radius: .3rem;
          padding: .2rem .4rem; min-width: 0; }
        </style>
        </head>
        <body>
        <header><h1>Tessera</h1><span id="model"></span><button id="new" type="button">New</button></header>
        <main id="talk" aria-live="polite"></main>
        <form id="form">
        <textarea id="text" rows="2" placeholder="Message" aria-label="Message" autofocus></textarea>
        <button id="send">Send</button>
        </form>
        <details><summary>Settings</summary>
        <label>Instructions <input id="system" placeholder="none"></label>
        <label>Temperature <input id="temperature" type="number" min="0" max="2" step="0.1" placeholder="the model's own"></label>
        <label>Most tokens <input id="limit" type="number" min="1" value="1024"></label>
        <label>Key <input id="key" type="password" placeholder="none"></label>
        </details>
        <script>
        "use strict";
        const $ = id => document.getElementById(id);
        let messages = [], running = null;
        const headers = () => Object.assign({ "content-type": "application/json" },
          $("key").value ? { authorization: "Bearer " + $("key").value } : {});

        function add(kind, text) {
          const node = document.createElement("div");
          node.className = kind;
          node.textContent = text;
          const atEnd = $("talk").scrollHeight - $("talk").scrollTop - $("talk").clientHeight < 60;
          $("talk").append(node);
          if (atEnd) node.scrollIntoView({ block: "end" });
          return node;
        }

        async function* events(response) {
          const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
          let rest = "";
          while (true) {
            const { done, value } = await reader.read();
            if (done) return;
            const parts = (rest + value).split("\n\n");
            rest = parts.pop();
            for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
          }
        }

        async function ask(text) {
          add("message user", text);
          messages.push({ role: "user", content: text });
          const node = add("message", ""), facts = add("facts", "reading the prompt");
          const system = $("system").value.trim();
          const request = {
            messages: (system ? [{ role: "system", content: system }] : []).concat(messages),
            stream: true, stream_options: { include_usage: true }, max_tokens: Number($("limit").value) || 1024,
          };
          if ($("temperature").value !== "") request.temperature = Number($("temperature").value);
          running = new AbortController();
          $("send").textContent = "Stop";
          const begin = performance.now();
          let answer = "", first = 0, count = 0, end = "";
          try {
            const response = await fetch("v1/chat/completions",
              { method: "POST", headers: headers(), body: JSON.stringify(request), signal: running.signal });
            if (!response.ok) throw new Error((await response.json()).error.message);
            for await (const event of events(response)) {
              if (event === "[DONE]") break;
              const part = JSON.parse(event);
              if (part.error) throw new Error(part.error.message);
              const choice = part.choices[0];
              if (choice && choice.delta.content) {
                if (!first) first = performance.now();
                answer += choice.delta.content;
                count++;
                node.textContent = answer;
                facts.textContent = `${(count / Math.max(0.001, (performance.now() - first) / 1000)).toFixed(1)} pieces/s`;
                if ($("talk").scrollHeight - $("talk").scrollTop - $("talk").clientHeight < 80)
                  facts.scrollIntoView({ block: "end" });
              }
              if (choice && choice.finish_reason === "length") end = ", cut at the limit";
              if (part.usage) {
                const use = part.usage, own = use.tessera, seconds = (performance.now() - (first || begin)) / 1000;
                facts.textContent = `${use.completion_tokens} tokens in ${own.passes} passes `
                  + `(${(use.completion_tokens / Math.max(1, own.passes)).toFixed(2)} per pass), `
                  + `${(use.completion_tokens / Math.max(0.001, seconds)).toFixed(1)} tokens/s, first after `
                  + `${(((first || begin) - begin) / 1000).toFixed(2)} s; ${use.prompt_tokens_details.cached_tokens} of `
                  + `${use.prompt_tokens} prompt tokens were in the cache${end}`;
              }
            }
          } catch (error) {
            if (error.name === "AbortError") facts.textContent = "stopped";
            else { facts.className = "facts error"; facts.textContent = error.message; }
          }
          if (answer) messages.push({ role: "assistant", content: answer });
          else messages.pop();
          running = null;
          $("send").textContent = "Send";
        }

        $("form").addEventListener("submit", event => {
          event.preventDefault();
          if (running) return running.abort();
          const text = $("text").value.trim();
          if (!text) return;
          $("text").value = "";
          ask(text);
        });
        $("text").addEventListener("keydown", event => {
          if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); $("form").requestSubmit(); }
        });
        $("new").addEventListener("click", () => {
          if (running) running.abort();
          messages = [];
          $("talk").replaceChildren();
        });
        fetch("v1/models", { headers: headers() }).then(response => response.json())
          .then(list => { $("model").textContent = `${list.data[0].id}, context ${list.data[0].context_length}`; })
          .catch(() => { $("model").textContent = ""; });
        </script>
        </body>
        </html>

        """#
}
