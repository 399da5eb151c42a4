// A delayed payment has not arrived yet: look again now and then, and give up quietly after a while.
const key = `returned:${location.search}`;
const looked = Number(sessionStorage.getItem(key) ?? 0);

if (looked < 60) {
  const pause = looked < 10 ? 1500 : 5000;
  setTimeout(() => {
    sessionStorage.setItem(key, String(looked + 1));
    location.reload();
  }, pause);
}
