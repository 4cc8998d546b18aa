// `npm run lock`, after a change to package.json.  The lock file then names only the packages that
// package.json names: the widget manager comes as one finished bundle, and the 130 packages that it
// was made from would be fetched for nothing.
import { execSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

execSync("npm install --package-lock-only", { stdio: "inherit" });
const lock = JSON.parse(readFileSync("package-lock.json"));
const named = { ...lock.packages[""].dependencies, ...lock.packages[""].devDependencies };
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === "") continue;
  if (path.replace("node_modules/", "") in named) delete entry.dependencies;
  else delete lock.packages[path];
}
writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n");
