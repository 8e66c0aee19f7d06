// The browser tab's title: the page sets it, a running job says how far it is. And a look whether the page is there.
//
// A fragment's timer that went off while the server was changing pages makes Streamlit (1.67) take the new page away: the
// run that it asks for names the page before, and for that the browser drops all that a page has drawn. Nothing brings
// it back, so ask for it.
const LOOK = 300; // ms
let ask, timer;
let looks = 0;
let asked = 0;

function look() {
  const idle = document.querySelector("[data-testid=stApp][data-test-script-state=notRunning]");
  const there = document.querySelector("[data-testid=stMain] h1"); // every page has a title
  if (there) looks = asked = 0;
  else if (idle) looks += 1; // a page that is being drawn has no title yet
  if (looks < 2 ** (asked + 1)) return; // ever more seldom: a page that stays empty has another reason
  looks = 0;
  asked += 1;
  ask();
}

export default function ({ data, setTriggerValue }) {
  document.title = data.title;
  ask = () => setTriggerValue("gone", true);
  timer ??= setInterval(look, LOOK);
}
