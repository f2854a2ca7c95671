// A node-opcua server with known values, told what to do line by line.
//   node server.js PORT FOLDER [elsewhere] [companion] [strict]
// elsewhere: other namespace order and other numbers; companion: Machinery, MachineTool and PackML;
// strict: a client's certificate must have been accepted, and nobody may log in as nobody.
// What the library says of itself goes aside; only answers stand on standard output.
console.log = console.warn = console.info = console.error;
const answer = (text) => process.stdout.write(`${text}\n`);

const path = require("node:path");
const readline = require("node:readline");
const opcua = require("node-opcua");
const { DataType, StatusCodes, VariantArrayType } = opcua;

const [port, folder, ...flags] = process.argv.slice(2);
const elsewhere = flags.includes("elsewhere");
const strict = flags.includes("strict");
const MOMENT = new Date(Date.UTC(2024, 1, 3, 4, 5, 6, 789));
const PICOSECONDS = 456_700_000; // 456.7 us after it: only exact ticks of 100 ns keep it

const KNOWN = [
  ["speed", DataType.Double, 12.5],
  ["warmth", DataType.Float, 0.1],
  ["count", DataType.Int32, 17],
  ["huge", DataType.Int64, [0x00200000, 0x00000001]], // 2**53 + 1
  ["serial", DataType.UInt64, [0x7fffffff, 0xffffffff]], // 2**63 - 1
  ["running", DataType.Boolean, true],
  ["order", DataType.String, "0047 Läufer"],
  ["word", DataType.LocalizedText, { text: "läuft", locale: "de" }],
  ["stale", DataType.Double, 3.25, StatusCodes.UncertainLastUsableValue],
  ["broken", DataType.Double, null, StatusCodes.BadSensorFailure],
];

function nodesets() {
  const { nodesets: n } = opcua;
  if (!flags.includes("companion")) return [n.standard];
  return [
    n.standard, n.irdi, n.padim, n.di, n.amb, n.ia, n.isa95JobControl, n.machinery, n.machineryResult,
    n.machineryProcessValues, n.machineryJobs, n.machineTool, n.packML,
  ];
}

async function main() {
  const certificates = new opcua.OPCUACertificateManager({
    rootFolder: path.join(folder, "pki"),
    automaticallyAcceptUnknownCertificate: !strict,
  });
  const people = new opcua.OPCUACertificateManager({
    rootFolder: path.join(folder, "people"),
    automaticallyAcceptUnknownCertificate: true,
  });
  const server = new opcua.OPCUAServer({
    userCertificateManager: people,
    port: Number(port),
    hostname: "127.0.0.1",
    nodeset_filename: nodesets(),
    serverCertificateManager: certificates,
    securityPolicies: [opcua.SecurityPolicy.None, opcua.SecurityPolicy.Basic256Sha256],
    securityModes: [opcua.MessageSecurityMode.None, opcua.MessageSecurityMode.SignAndEncrypt],
    allowAnonymous: !strict,
    userManager: { isValidUser: (user, password) => user === "reader" && password === "tell me" },
    buildInfo: {
      productName: "Press", manufacturerName: "Northgate", softwareVersion: "4.2", productUri: "urn:northgate:press",
      buildNumber: "7", buildDate: new Date(2024, 0, 1),
    },
    serverInfo: { applicationUri: "urn:northgate:press:1" },
    maxConnectionsPerEndpoint: 50,
    serverCapabilities: { maxSessions: 50, minSupportedSampleRate: 0 },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  if (elsewhere) space.registerNamespace("urn:northgate:another");
  const own = space.registerNamespace("urn:northgate:press");
  const plant = own.addFolder(space.rootFolder.objects, { browseName: "Plant", nodeId: elsewhere ? "i=9000" : undefined });
  const press = own.addObject({ browseName: "Press", organizedBy: plant, nodeId: elsewhere ? "i=9001" : undefined });
  const variables = {};
  let number = elsewhere ? 7000 : 5000;
  for (const [name, dataType] of KNOWN) {
    number += 1;
    const make = name === "speed" ? own.addAnalogDataItem.bind(own) : own.addVariable.bind(own);
    variables[name] = make({
      componentOf: press, browseName: name, nodeId: `i=${number}`, dataType, minimumSamplingInterval: 0,
      ...(name === "speed" && {
        engineeringUnitsRange: { low: 0, high: 100 },
        engineeringUnits: opcua.standardUnits.millimetre_per_second ?? opcua.standardUnits.degree_celsius,
      }),
    });
  }
  const series = own.addVariable({
    componentOf: press, browseName: "series", nodeId: `i=${number + 1}`, dataType: DataType.Double, valueRank: 1,
    arrayDimensions: [3],
  });

  function scalar(dataType, value) {
    return { dataType, arrayType: VariantArrayType.Scalar, value };
  }
  function put(variable, value, statusCode = StatusCodes.Good, moment = null) {
    const picoseconds = moment ? PICOSECONDS : 0;
    const time = moment ?? new Date();
    // setValueFromSource knows no picoseconds, and the exact time is what the test is about.
    variable._internal_set_dataValue(new opcua.DataValue({
      value, statusCode, sourceTimestamp: time, sourcePicoseconds: picoseconds, serverTimestamp: time,
    }));
  }
  function reset() {
    for (const [name, dataType, value, status] of KNOWN) {
      put(variables[name], value === null ? { dataType: DataType.Null } : scalar(dataType, value), status, MOMENT);
    }
    const values = new Float64Array([1, 2.5, 4]);
    put(series, { dataType: DataType.Double, arrayType: VariantArrayType.Array, value: values }, undefined, MOMENT);
  }
  reset();
  if (flags.includes("companion")) companion(space);
  await server.start();

  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [order, name, text] = line.split(" ");
    if (order === "reset") reset();
    if (order === "grow") {
      const ghost = own.addVariable({ componentOf: press, browseName: "ghost", dataType: DataType.Double });
      put(ghost, scalar(DataType.Double, 6.5));
    }
    if (order === "set") {
      const known = KNOWN.find((one) => one[0] === name);
      put(variables[name], scalar(known[1], JSON.parse(text)));
    }
    if (order === "fingerprint") {
      answer(require("node:crypto").createHash("sha256").update(server.getCertificate()).digest("hex"));
    } else if (order === "sessions") answer(server.engine.currentSessionCount);
    else answer("done");
  });
  process.stdin.on("end", () => process.exit(0));
  answer(`READY ${port}`);
}

function name(identification, said) {
  for (const [browseName, value] of Object.entries(said)) {
    const property = identification.getPropertyByName(browseName)
      ?? identification.namespace.addVariable({ propertyOf: identification, browseName, dataType: typeof value === "number" ? "UInt16" : "String" });
    const localised = property.dataType.value === DataType.LocalizedText;
    const dataType = localised ? DataType.LocalizedText : typeof value === "number" ? DataType.UInt16 : DataType.String;
    property.setValueFromSource({ dataType, value: localised ? { text: value } : value });
  }
}

function companion(space) {
  const uri = (name) => space.getNamespaceIndex(`http://opcfoundation.org/UA/${name}/`);
  const objects = space.rootFolder.objects;
  const machines = objects.getFolderElementByName("Machines", uri("Machinery"));
  const cnc = space.findObjectType("MachineToolType", uri("MachineTool")).instantiate({
    browseName: "CNC1", organizedBy: machines,
    optionals: ["Monitoring.Stacklight", "Production.ActiveProgram.JobIdentifier", "Notification.Prognoses"],
  });
  const monitoring = cnc.getComponentByName("Monitoring");
  space.findObjectType("ChannelMonitoringType", uri("MachineTool")).instantiate({
    browseName: { name: "Channel1", namespaceIndex: cnc.nodeId.namespace }, componentOf: monitoring,
  });
  name(cnc.getComponentByName("Identification"), {
    Manufacturer: "Werkzeug AG", Model: "WZ 500", SerialNumber: "WZ-0815", SoftwareRevision: "3.14", YearOfConstruction: 2021,
  });
  const states = space.findObjectType("MachineryItemState_StateMachineType", uri("Machinery"));
  const press = space.getOwnNamespace().addObject({ browseName: "Press2", organizedBy: machines });
  space.findObjectType("MachineIdentificationType", uri("Machinery")).instantiate({
    browseName: { name: "Identification", namespaceIndex: uri("DI") }, componentOf: press,
    optionals: ["Model", "SoftwareRevision", "ProductCode"],
  });
  name(press.getComponentByName("Identification"), {
    Manufacturer: "Pressen GmbH", Model: "P 200", SerialNumber: "P-42", ProductCode: "P200-1",
  });
  const blocks = space.getOwnNamespace().addObject({ browseName: "MachineryBuildingBlocks", componentOf: press });
  const state = states.instantiate({ browseName: "MachineryItemState", componentOf: blocks });
  state.getComponentByName("CurrentState").setValueFromSource({
    dataType: DataType.LocalizedText, value: { text: "Executing" },
  });
  space.findObjectType("PackMLBaseObjectType", uri("PackML")).instantiate({
    browseName: "Packer", organizedBy: objects, optionals: ["Status.EquipmentBlocked"],
  });
}

main().catch((error) => {
  answer(`FAILED ${error.stack}`);
  process.exit(1);
});
