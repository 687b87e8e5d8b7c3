// Apps that resolve a request's target as Node programs commonly do, each on a port of its own.
// They answer with the path that they would serve; /headers is answered with the headers they got.
const http = require("node:http");
const path = require("node:path");
const url = require("node:url");

const resolvers = {
  // As Node's documentation has it.
  "node-url": (target) => new URL(target, "http://localhost").pathname,
  "node-url-decoded": (target) => decodeURIComponent(new URL(target, "http://localhost").pathname),
  // Decoded first, split and resolved afterwards.
  "node-decoded-url": (target) => new URL(decodeURIComponent(target), "http://localhost").pathname,
  "node-naive": (target) => path.posix.normalize(decodeURIComponent(target).split("?")[0]),
  "node-legacy": (target) => path.posix.normalize(decodeURIComponent(url.parse(target).pathname)),
  "node-twice": (target) =>
    path.posix.normalize(decodeURIComponent(decodeURIComponent(target.split("?")[0]))),
};

const ports = {};
const servers = Object.entries(resolvers).map(([name, resolve]) => {
  const server = http.createServer((request, response) => {
    let resolved;
    try {
      resolved = resolve(request.url);
    } catch {
      response.writeHead(400).end();
      return;
    }
    const heard = request.url === "/headers" ? JSON.stringify(request.headers) : resolved;
    response.writeHead(200, { "Content-Type": "text/plain" }).end(heard);
  });
  return new Promise((listening) =>
    server.listen(0, "127.0.0.1", () => {
      ports[name] = server.address().port;
      listening();
    }),
  );
});
Promise.all(servers).then(() => console.log(JSON.stringify(ports)));
