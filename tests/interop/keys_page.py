"""The page of `millrace keys --html` in headless Chromium: wide, on a phone, in the dark. No console
message, everything drawn, nothing wider than the window."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROBE = '''<script>
addEventListener("load", () => {
  const drawn = id => document.getElementById(id).childElementCount;
  const pen = document.getElementById("heat").getContext("2d");
  const heat = pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height).data;
  const tones = new Set();
  for (let i = 0; i < heat.length; i += 4000) tones.add(heat.slice(i, i + 3).join());
  for (const b of document.querySelectorAll("button")) b.click(); // each key, each list
  parent.postMessage(JSON.stringify({
    inner: innerWidth, scroll: document.documentElement.scrollWidth, tones: tones.size,
    drawn: ["tabs", "tiles", "curve", "cost", "shards", "top", "lorenz", "table"].map(drawn),
    page: getComputedStyle(document.body).backgroundColor }), "*");
});
</script>'''

# A window is at least 500 wide, a frame in it is not.
FRAME = '''<!doctype html><meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">
<body style="margin:0"><script>
addEventListener("message", event => { document.body.dataset.probe = event.data; });
</script><iframe style="border:0" width="%d" height="3000" src="keys.html"></iframe>'''


def check(name, good, more=''):
    print(f"{'ok' if good else 'not ok'} - page, {name}" + ('' if good else f': {more}'))


def look(folder, width, dark):
    with open(f'{folder}/frame.html', 'w', encoding='utf-8') as file:
        file.write(FRAME % width)
    arguments = ['chromium', '--headless=old', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr',
                 '--virtual-time-budget=4000', '--window-size=1300,3000', '--dump-dom']
    if dark:
        arguments.append('--blink-settings=preferredColorScheme=0')
    done = subprocess.run(arguments + [f'file://{folder}/frame.html'], capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    probe = re.search(r'data-probe="([^"]*)"', done.stdout)
    return said, probe and json.loads(probe[1].replace('&quot;', '"'))


if not shutil.which('chromium'):
    check('there is a browser', False, "install Debian's package chromium")
    sys.exit(1)
with tempfile.TemporaryDirectory() as folder:
    path = f'{folder}/keys.html'
    done = subprocess.run([os.environ['MILLRACE'], 'keys', 'tools/labs/data/flights.ndjson', '-k', 'origin', '-k',
                           'destination', '-k', 'origin+destination', '-k', 'origin#rand(4)', '--speed', '60000x',
                           '--html', path], capture_output=True, text=True)
    check('written', done.returncode == 0, done.stderr)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    links = [url for url in re.findall(r'(?:src|href)\s*=\s*["\']([^"\']+)|url\(([^)]+)\)', text) if any(url)]
    check('needs no network', all(''.join(url).startswith('data:') for url in links), links)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text.replace('</html>', PROBE + '</html>'))
    for width, dark in ((1280, False), (400, False), (1280, True), (400, True)):
        name = f"{width} wide{', dark' if dark else ''}"
        said, probe = look(folder, width, dark)
        check(f'{name}: the console is silent', not said, said)
        check(f'{name}: it ran', probe is not None)
        if probe:
            check(f'{name}: the window is so wide', probe['inner'] == width, probe)
            check(f'{name}: nothing is wider', probe['scroll'] <= width, probe)
            check(f'{name}: all is drawn', all(probe['drawn']) and probe['tones'] > 5, probe)
            light = sum(int(part) for part in re.findall(r'\d+', probe['page'])[:3]) > 384
            check(f'{name}: the colours are right', light != dark, probe)
sys.exit(0)
