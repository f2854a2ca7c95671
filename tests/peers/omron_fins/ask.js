// Asks an Omron controller for its model by FINS over UDP, and prints what it understood.
//   node ask.js PORT
const fins = require("omron-fins");

const client = fins.FinsClient(Number(process.argv[2]), "127.0.0.1", { protocol: "udp", timeout: 4000 });
function done(text) {
  console.log(text);
  process.exit(0);
}
client.on("reply", (message) => {
  const told = message.response;
  done(JSON.stringify({ model: told.result.CPUUnitModel, version: told.result.CPUUnitInternalSystemVersion, sid: message.sid }));
});
client.on("error", (error) => done(`error ${error}`));
client.on("timeout", () => done("timeout"));
client.on("open", () => setImmediate(() => client.cpuUnitDataRead()));
client.connect();
