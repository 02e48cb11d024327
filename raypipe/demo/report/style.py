"""The style sheet: one set of colours for light and for dark, both safe for colour blindness.

Blue and orange (after Okabe and Ito) carry the two lines; shapes, dashes, stripes, outlines and
words carry the same meaning again. Text keeps a contrast of at least 4.5 to its ground.
"""

from __future__ import annotations

_LIGHT = """
--ground:#fff;--panel:#f6f7f9;--ink:#1b1f26;--quiet:#565e6b;--rule:#dde1e7;--grid:#e8ebef;
--loop:#0b62a8;--first:#b14a00;--static:#656d78;--better:#0b62a824;--worse:#b14a0026;
--bar:#2c6fad;--second:#97a3b3;--on-bar:#fff;--accent:#0b62a8;--bad:#b14a00;--edge:#8a94a2;
--psi0:#eff3f8;--psi1:#d3e1f0;--psi2:#a5c4e2;--psi3:#649ccb;--psi4:#2a6ea8;--psi5:#0b3d6b;
--raised:#b8420a;--dot:#fff;--dot-rim:#1b1f26;--node:#fff;
--k-source:#7b8592;--k-table:#2c6fad;--k-recipe:#8a6d00;--k-run:#8c4a86;--k-version:#b14a00;
--k-service:#0f7a5c"""

_DARK = """
--ground:#14171c;--panel:#1b1f26;--ink:#e7eaef;--quiet:#a2abb8;--rule:#2f353f;--grid:#272c35;
--loop:#5db4f0;--first:#f0a04b;--static:#97a1af;--better:#5db4f02e;--worse:#f0a04b2b;
--bar:#4a94d0;--second:#5d6877;--on-bar:#0b1016;--accent:#5db4f0;--bad:#f0a04b;--edge:#6d7785;
--psi0:#1d232c;--psi1:#223a52;--psi2:#28587f;--psi3:#3a7fb3;--psi4:#73b3de;--psi5:#cfe8fa;
--raised:#ff9d4d;--dot:#14171c;--dot-rim:#fff;--node:#1b1f26;
--k-source:#8f99a7;--k-table:#4a94d0;--k-recipe:#d0ad2c;--k-run:#c583be;--k-version:#f0a04b;
--k-service:#3dbb94"""

_PAGE = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 40px}
header{padding-top:56px}
h1{font-size:34px;line-height:1.2;margin:0 0 10px;font-weight:650;letter-spacing:-.015em;
overflow-wrap:anywhere}
h2{font-size:22px;line-height:1.3;margin:0 0 6px;font-weight:640;letter-spacing:-.01em}
p{margin:0 0 14px;max-width:76ch}
a{color:var(--accent)}
a:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
dl.about{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0 0 32px;
font-size:14px}
dl.about dt{color:var(--quiet)}
dl.about dd{margin:0;overflow-wrap:anywhere}
.headlines{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:1px;
margin:0;padding:0;list-style:none;background:var(--panel);border:1px solid var(--rule);
border-radius:8px;overflow:hidden}
.headlines li{box-shadow:0 0 0 1px var(--rule);padding:18px 20px;overflow-wrap:anywhere}
.headlines span{display:block}
.headlines .what{font-size:13px;color:var(--quiet)}
.headlines .value{font-size:28px;line-height:1.3;font-weight:640;letter-spacing:-.01em;
font-variant-numeric:tabular-nums}
.headlines .note{font-size:13px;color:var(--quiet)}
nav{margin:28px 0 0;font-size:14px}
nav ul{display:flex;flex-wrap:wrap;gap:6px 20px;margin:0;padding:0;list-style:none}
section{margin:72px 0 0}
section>p.lead{color:var(--quiet);margin-bottom:22px}
ul.findings{margin:18px 0 0;padding:0;list-style:none;max-width:84ch}
ul.findings li{display:grid;grid-template-columns:26px 1fr;padding:7px 0;
border-top:1px solid var(--grid)}
ul.findings li:first-child{border-top:0;font-size:19px;line-height:1.45;padding-bottom:12px}
ul.findings .sign{font-size:13px;padding-top:1px;color:var(--quiet)}
ul.findings li:first-child .sign{padding-top:5px}
ul.findings .good .sign{color:var(--loop)}
ul.findings .bad .sign{color:var(--bad)}
p.signs{font-size:13px;color:var(--quiet);margin:14px 0 0}
figure{margin:20px 0 26px}
figcaption{font-size:13px;color:var(--quiet);margin-top:10px;max-width:96ch}
.scroll{overflow-x:auto;margin:22px 0}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.4}
table.few{width:auto;min-width:min(100%,620px)}
caption{text-align:left;font-weight:600;padding:0 0 8px}
th,td{text-align:left;padding:6px 18px 6px 0;border-bottom:1px solid var(--grid);
vertical-align:top;white-space:nowrap}
td.long{white-space:normal;min-width:10em}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--quiet);font-weight:500;font-size:13px;border-bottom:1px solid var(--rule);
vertical-align:bottom}
tbody th{font-weight:500}
.n{text-align:right;font-variant-numeric:tabular-nums}
th.n:first-child{text-align:left}
.none{color:var(--quiet);font-style:italic}
footer{margin-top:80px;padding-bottom:56px;font-size:13px;color:var(--quiet)}
"""

_CHARTS = """
svg{display:block;max-width:100%;height:auto;overflow:visible;
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
svg text{fill:var(--ink);font-variant-numeric:tabular-nums}
svg .tick,svg .quiet{fill:var(--quiet);font-size:11.5px}
svg .quiet{font-style:italic}
svg .over{paint-order:stroke;stroke:var(--ground);stroke-width:5px}
svg .strong{font-weight:640}
.grid{stroke:var(--grid)}
.axis{stroke:var(--edge)}
.clear{fill:transparent}
.clear:hover{fill:var(--ink);fill-opacity:.05}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.loop{stroke:var(--loop);stroke-width:2.6}
.line.first{stroke:var(--first);stroke-dasharray:6 4}
.line.static{stroke:var(--static);stroke-width:1.4;stroke-dasharray:1.5 4}
.lone.loop{fill:var(--loop)}.lone.first{fill:var(--first)}.lone.static{fill:var(--static)}
svg .end{font-weight:640}
svg .end.loop{fill:var(--loop)}svg .end.first{fill:var(--first)}svg .end.static{fill:var(--static)}
.better{fill:var(--better)}.worse{fill:var(--worse)}
.stripe{stroke:var(--first);stroke-width:1;opacity:.55}
.moment{stroke:var(--edge);stroke-dasharray:2 3}
.mark{fill:var(--loop);stroke:var(--loop);stroke-width:1.5}
.mark.refused{fill:var(--ground);stroke:var(--first)}
.cross{stroke:var(--first);stroke-width:1.5;fill:none}
.track{fill:none;stroke:none}
.psi0{fill:var(--psi0)}.psi1{fill:var(--psi1)}.psi2{fill:var(--psi2)}
.psi3{fill:var(--psi3)}.psi4{fill:var(--psi4)}.psi5{fill:var(--psi5)}
.psi-unknown{fill:none;stroke:var(--edge);stroke-dasharray:2 2}
.raised{fill:none;stroke:var(--raised);stroke-width:2}
.raised-dot{fill:var(--dot);stroke:var(--dot-rim);stroke-width:1}
.band{fill:var(--panel)}
.trained{stroke:var(--edge);stroke-width:1.5}
.bar{fill:var(--bar)}.bar.second{fill:var(--second)}
svg .on-bar{fill:var(--on-bar);font-weight:550}
.whisker{stroke:var(--edge);stroke-width:1.5}
.span{stroke:var(--bar);stroke-width:4;stroke-opacity:.35}
.quantile{fill:var(--bar);stroke:var(--ground);stroke-width:1.5}
.quantile-line{stroke:var(--bar);stroke-width:2.5}
.node{fill:var(--node);stroke:var(--rule)}
.edge{fill:none;stroke:var(--edge);stroke-width:1.3}
.arrow{fill:var(--edge)}
svg .kind{font-size:9.5px;letter-spacing:.07em;fill:var(--quiet)}
.kind-source{fill:var(--k-source)}.kind-table{fill:var(--k-table)}
.kind-recipe{fill:var(--k-recipe)}.kind-run{fill:var(--k-run)}
.kind-version{fill:var(--k-version)}.kind-service{fill:var(--k-service)}
.narrow{display:none}
"""

_SCREENS = """
@media screen and (max-width:760px){
main,header,footer{padding-left:20px;padding-right:20px}
header{padding-top:32px}
h1{font-size:26px}
section{margin-top:56px}
.headlines{grid-template-columns:1fr 1fr}
.headlines li{padding:14px}
.headlines .value{font-size:22px}
.wide{display:none}.narrow{display:block}
.narrow svg{width:100%}
th,td{padding-right:14px}
}
@media print{
@page{margin:16mm 14mm}
body{font-size:11pt}
main,header,footer{max-width:none;padding:0}
header{padding-top:0}
h1{font-size:20pt}
h2{font-size:14pt}
ul.findings li:first-child{font-size:12.5pt}
.headlines{grid-template-columns:repeat(auto-fit,minmax(140px,1fr))}
.headlines li{padding:8pt 10pt}
nav{display:none}
section{margin-top:28pt}
h2{break-after:avoid}
figure,tr,ul.findings li,.headlines{break-inside:avoid}
thead{display:table-header-group}
.scroll{overflow:visible}
table,thead th{font-size:8pt}
th,td{padding:2pt 7pt 2pt 0}
.graph svg{min-width:0!important}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
"""


def sheet() -> str:
    """The whole style sheet; paper is always light."""
    return (
        f":root{{{_LIGHT}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
        f"{_PAGE}{_CHARTS}{_SCREENS}"
    )
