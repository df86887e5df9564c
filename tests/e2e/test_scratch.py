from pathlib import Path
import re
import pytest
from tests.e2e.test_every_page import *
from tests.e2e.test_every_page import addresses, enter

def test_shots(app, client, session, settings, panel, other_panel, admin, site, context):
    ids = everything(session, settings, panel, admin)
    enter(context, site, client, admin)
    page = context.new_page()
    out = Path("/tmp/e2e-shots"); out.mkdir(exist_ok=True)
    import os
    only = os.environ.get("ONLY", "")
    for address in ["/", *addresses(app, panel, ids)]:
        if only and not re.search(only, address): continue
        page.goto(address)
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate("document.documentElement.scrollWidth") > width:
                print("WIDE", address, width, page.evaluate("""() => [...document.querySelectorAll("body *")].filter(o => o.getBoundingClientRect().right > window.innerWidth + 1).slice(0,40).map(o => o.tagName + "." + o.className + " " + Math.round(o.getBoundingClientRect().right)+" "+Math.round(o.getBoundingClientRect().left))"""))
            page.screenshot(path=out / (re.sub(r"\W+", "_", address) + f"_{width}.png"), full_page=True)

def test_wide(app, client, session, settings, panel, other_panel, admin, site, context):
    everything(session, settings, panel, admin)
    enter(context, site, client, admin)
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/p/empleo/")
    print("WIDE", page.evaluate("""() => { const out=[]; 
      for (const e of document.querySelectorAll("main *")) { const d=e.style.display; const before=document.documentElement.scrollWidth; e.style.display="none"; const after=document.documentElement.scrollWidth; e.style.display=d; if (after<before) out.push(e.tagName+"."+e.className+"#"+e.id+" "+before+">"+after+" "+getComputedStyle(e).position+" "+getComputedStyle(e).overflowX); } return out; }"""))
