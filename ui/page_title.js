// The browser tab's title: the page sets it, a running job says how far it is.
export default function ({ data }) {
  document.title = data.title;
}
