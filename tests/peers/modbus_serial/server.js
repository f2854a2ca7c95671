// A Modbus/TCP server on loopback; takes the same arguments and orders as libmodbus/server.c.
const { createRequire } = require("module");
const { ServerTCP } = createRequire(process.argv[3] + "/")("modbus-serial");
const port = Number(process.argv[2]);
const SIZE = 4000;
const tables = { holding: new Uint16Array(SIZE), input: new Uint16Array(SIZE), coil: new Uint8Array(SIZE), discrete: new Uint8Array(SIZE) };
const pick = (table) => (address, unit, done) => {
  if (address >= SIZE) return done({ modbusErrorCode: 2, msg: "no such address" });
  done(null, table instanceof Uint8Array ? table[address] !== 0 : table[address]);
};
const put = (table, address, value) => { tables[table][Number(address)] = Number(value); };
for (let rest = process.argv.slice(4); rest.length; rest = rest.slice(3)) put(...rest.slice(0, 3));
let sessions = 0;
const server = new ServerTCP(
  { getHoldingRegister: pick(tables.holding), getInputRegister: pick(tables.input), getCoil: pick(tables.coil), getDiscreteInput: pick(tables.discrete) },
  { host: "127.0.0.1", port, unitID: 1 },
);
server._server.on("connection", (socket) => { sessions += 1; socket.on("close", () => { sessions -= 1; }); socket.on("error", () => {}); });
server.on("initialized", () => console.log(`READY ${port}`));
server.on("socketError", () => {});
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [table, address, value] = line.split(" ");
  if (table === "sessions") return console.log(sessions);
  put(table, address, value);
  console.log("done");
}).on("close", () => process.exit(0));
