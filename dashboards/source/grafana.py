# SPDX-License-Identifier: Apache-2.0
"""What the dashboards are made of: panels, variables, links, in Grafana's JSON model.

Values in, dictionaries out. Schema version 39 is Grafana 11's; nothing here needs
a newer one. Every panel has a unit and a description, and asks the data source
that the reader has chosen: `tests/dashboards` holds the result to that.
"""

SCHEMA_VERSION = 39
COLUMNS = 24
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# What every query selects by: Prometheus's own labels.
HOSTS = 'job=~"$job", instance=~"$instance"'

# Columns that must not be cut: ids of jobs have 26 characters, of GPUs 45.
WIDTHS = {"job_id": 260, "domain": 380, "device": 220}

# Kinds of energy keep their colour on every dashboard.
KIND_COLOURS = {"gpu": "green", "cpu": "blue", "dram": "purple", "node": "yellow"}


def query(expr, legend="", instant=False):
    """A query of a panel: over the time range, or of its end only."""
    target = {"datasource": DATA_SOURCE, "editorMode": "code", "expr": " ".join(expr.split())}
    if instant:
        return target | {"format": "table", "instant": True, "range": False}
    return target | {"format": "time_series", "legendFormat": legend, "range": True}


def panel(kind, title, description, unit, queries, size, options, defaults=None, overrides=()):
    """A panel; `size` is columns and rows of Grafana's grid."""
    for place, target in enumerate(queries):
        target["refId"] = chr(ord("A") + place)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "gridPos": {"w": size[0], "h": size[1], "x": 0, "y": 0},
        "fieldConfig": {
            "defaults": {"unit": unit, **(defaults or {})},
            "overrides": list(overrides),
        },
        "options": options,
        "targets": list(queries),
    }


def steps(*pairs):
    """Thresholds: a colour, then a value from which the next colour counts, and so on."""
    first, *rest = pairs
    above = [{"value": value, "color": colour} for value, colour in zip(rest[::2], rest[1::2])]
    return {"mode": "absolute", "steps": [{"value": None, "color": first}, *above]}


def stat(title, description, unit, expr, size=(4, 4), thresholds=None, **defaults):
    """One figure with its course behind it."""
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
        "wideLayout": True,
    }
    if thresholds is None:
        defaults |= {"color": {"mode": "fixed", "fixedColor": "text"}}
    else:
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": thresholds}
    return panel("stat", title, description, unit, [query(expr)], size, options, defaults)


def timeseries(
    title,
    description,
    unit,
    queries,
    size=(12, 8),
    stack=False,
    colours=None,
    soft_max=None,
    **defaults,
):
    """Curves over time, or areas upon one another."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 40 if stack else 10,
        "gradientMode": "none",
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "axisPlacement": "auto",
    }
    if soft_max is not None:
        custom["axisSoftMax"] = soft_max
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    overrides = [
        override("byName", name, {"color": {"mode": "fixed", "fixedColor": colour}})
        for name, colour in (colours or {}).items()
    ]
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, "min": 0} | defaults
    return panel(
        "timeseries", title, description, unit, queries, size, options, defaults, overrides
    )


def bars(title, description, unit, expr, legend, size=(12, 8), **defaults):
    """One bar for each series' value at the end of the range, the longest first."""
    options = {
        "displayMode": "gradient",
        "maxVizHeight": 40,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "text",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
    }
    defaults = {"color": {"mode": "fixed", "fixedColor": "green"}, "min": 0} | defaults
    target = query(f"sort_desc({expr})", legend)
    # The value at the end of the range, as a series so that it keeps its name.
    target |= {"instant": True, "range": False}
    return panel("bargauge", title, description, unit, [target], size, options, defaults)


def table(title, description, columns, size=(24, 8), sort=None, links=()):
    """A table of one row for each set of labels.

    `columns`: a label's name or an expression -> (heading, unit or None), or None for
    an expression that only brings its labels. Each expression is a query; Grafana
    joins their rows by the labels that they share.
    """
    expressions = [name for name in columns if not name.isidentifier()]
    fields = {name: name for name in columns if name.isidentifier()}
    for place, expression in enumerate(expressions):
        letter = "" if len(expressions) == 1 else f" #{chr(ord('A') + place)}"
        fields[f"Value{letter}"] = expression
    shown = {field: columns[name] for field, name in fields.items() if columns[name]}
    by_name = {name: field for field, name in fields.items()}
    order = [by_name[name] for name in columns if columns[name]]
    hidden = ["Time", *(field for field, name in fields.items() if not columns[name])]
    overrides = [
        override("byName", heading, {"unit": unit}) for heading, unit in shown.values() if unit
    ]
    overrides += [
        override("byName", columns[name][0], {"custom.width": width})
        for name, width in WIDTHS.items()
        if name in columns
    ]
    overrides += [override("byName", heading, {"links": [link]}) for heading, link in links]
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "frameIndex": 0,
        "sortBy": [{"displayName": sort, "desc": True}] if sort else [],
    }
    made = panel(
        "table",
        title,
        description,
        "none",
        [query(expression, instant=True) for expression in expressions],
        size,
        options,
        {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True}},
        overrides,
    )
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {field: True for field in hidden},
                "indexByName": {field: place for place, field in enumerate(order)},
                "renameByName": {field: heading for field, (heading, _) in shown.items()},
            },
        },
    ]
    return made


def states(title, description, queries, mapping, size=(24, 8)):
    """States over time, a line for each series. `mapping`: value -> (text, colour)."""
    options = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    words = {
        str(value): {"text": text, "color": colour, "index": place}
        for place, (value, (text, colour)) in enumerate(mapping.items())
    }
    defaults = {
        "color": {"mode": "fixed", "fixedColor": "text"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "mappings": [{"type": "value", "options": words}],
    }
    return panel(
        "state-timeline", title, description, "none", queries, size, options, defaults
    )


def override(matcher, name, properties):
    """Changes fields of one name."""
    properties = [{"id": name, "value": value} for name, value in properties.items()]
    return {"matcher": {"id": matcher, "options": name}, "properties": properties}


def short_domains(made):
    """Names of GPUs by the first eight digits of their UUID, as people tell them apart."""
    made["transformations"] = [
        {
            "id": "renameByRegex",
            "options": {"regex": "(.*)nvml:GPU-(.{8}).*", "renamePattern": "$1GPU $2"},
        }
    ]
    return made


def row(title):
    """A heading."""
    return {
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"w": COLUMNS, "h": 1, "x": 0, "y": 0},
        "panels": [],
    }


def data_link(title, dashboard, **variables):
    """A link of a table's cell or a curve: the same data source and time on another dashboard."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    url = f"/d/aimeter-{dashboard}?${{datasource:queryparam}}{chosen}&${{__url_time_range}}"
    return {"title": title, "url": url, "targetBlank": False}


def variable(name, label, metric, labels, multi=True, all_value=".+"):
    """A choice among a label's values; `metric`: where to look for them."""
    made = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATA_SOURCE,
        "query": {"query": f"label_values({metric}{{{labels}}}, {name})", "refId": name},
        "definition": f"label_values({metric}{{{labels}}}, {name})",
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
        "hide": 0,
        "options": [],
        "regex": "",
    }
    if multi:
        made |= {"allValue": all_value, "current": {"text": ["All"], "value": ["$__all"]}}
    return made


def annotation(name, expr, colour, text):
    """A mark at the moment that the series' value tells, in milliseconds since 1970."""
    return {
        "name": name,
        "datasource": DATA_SOURCE,
        "enable": True,
        "iconColor": colour,
        "expr": " ".join(expr.split()),
        "titleFormat": name,
        "textFormat": text,
        "tagKeys": "user,project",
        "step": "",
        "useValueForTime": "on",
    }


def dashboard(name, title, description, panels, variables=(), annotations=()):
    """The whole, with panels laid out in their order from left to right."""
    x = y = height = 0
    for number, made in enumerate(panels, 1):
        place = made["gridPos"]
        if x + place["w"] > COLUMNS:
            x, y, height = 0, y + height, 0
        place["x"], place["y"], made["id"] = x, y, number
        x, height = x + place["w"], max(height, place["h"])
    data_source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "hide": 0,
        "options": [],
        "regex": "",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
    }
    return {
        "uid": f"aimeter-{name}",
        "title": f"aimeter / {title}",
        "description": description,
        "tags": ["aimeter", "energy", "carbon"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "aimeter",
                "tags": ["aimeter"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "The other dashboards of aimeter",
                "url": "",
            }
        ],
        "annotations": {"list": list(annotations)},
        "templating": {
            "list": [
                data_source,
                variable("job", "Job", "aimeter_build_info", ""),
                variable("instance", "Instance", "aimeter_build_info", 'job=~"$job"'),
                *variables,
            ]
        },
        "panels": panels,
    }
