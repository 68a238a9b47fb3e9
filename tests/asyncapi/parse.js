// Reads an AsyncAPI document on stdin; prints its diagnostics as JSON.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({ understood: document !== undefined, diagnostics }));
