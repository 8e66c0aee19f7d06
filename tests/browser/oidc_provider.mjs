// A real OpenID Connect provider (npm's oidc-provider, certified) with two people, for one test of the login.
// node oidc_provider.mjs FOLDER-OF-oidc-provider PORT REDIRECT-URI
import { pathToFileURL } from "node:url";

const [folder, port, redirect] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/lib/index.js`).href);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "hypograph", client_secret: "a secret of the tests", redirect_uris: [redirect] }],
  claims: { email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false, // the claims stand in the ID token, which is what Streamlit reads
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `The ${id}`, email: `${id}@lab.example`, email_verified: id !== "stranger" }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
